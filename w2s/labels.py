"""Labels with identity: class probabilities by example id, joined by id and never by position."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadInput

FILE = "labels.parquet"
TINY = 1e-12  # keeps the log of a sure label finite
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelTable:
    """Class probabilities (and the logits they came from) of N rows, in no meaningful order.

    `weights_N` says how much each row counts for whoever learns from it: 0 not at all; None, all alike. `members_NMC`: the
    probabilities of each of M labellers whose mean this is, for those who listen to each; None for one labeller.
    """

    ids: tuple[str, ...]
    probs_NC: Floats
    logits_NC: Floats
    weights_N: Floats | None = None
    members_NMC: Floats | None = None

    def __post_init__(self) -> None:
        shape = (len(self.ids), self.probs_NC.shape[-1])
        if self.probs_NC.shape != shape or self.logits_NC.shape != shape:
            raise ValueError(f"{len(self.ids)} ids, probabilities {self.probs_NC.shape}, logits {self.logits_NC.shape}")
        if self.weights_N is not None and (self.weights_N.shape != shape[:1] or not (self.weights_N >= 0).all()):
            raise ValueError(f"{len(self.ids)} ids, weights {self.weights_N.shape} of at least {self.weights_N.min()}")
        if self.members_NMC is not None and (self.members_NMC.shape[0], self.members_NMC.shape[-1]) != shape:
            raise ValueError(f"{len(self.ids)} ids, members {self.members_NMC.shape}, probabilities {shape}")

    @classmethod
    def of_probs(
        cls,
        ids: Sequence[str],
        probs_NC: Floats,
        weights_N: Floats | None = None,
        members_NMC: Floats | None = None,
    ) -> LabelTable:
        """Labels that came from no logits: their logarithms stand in."""
        return cls(tuple(ids), probs_NC, np.log(np.clip(probs_NC, TINY, None)), weights_N, members_NMC)

    def everyone_NMC(self) -> Floats:
        """Each member's probabilities [N, M, C]; one labeller is a crowd of one."""
        return self.probs_NC[:, None] if self.members_NMC is None else self.members_NMC

    @property
    def weight_N(self) -> Floats:
        """How much each row counts."""
        return np.ones(len(self.ids)) if self.weights_N is None else self.weights_N

    def join(self, wanted: Sequence[str], where: str) -> LabelTable:
        """These rows, in the order of `wanted`. Labels for other rows are left out.

        Raises BadInput with counts and sample ids when a wanted row has no label, or any id appears twice.
        """
        order = np.array(places(self.ids, wanted, where), dtype=np.int64)
        weights_N = None if self.weights_N is None else self.weights_N[order]
        members_NMC = None if self.members_NMC is None else self.members_NMC[order]
        return LabelTable(tuple(wanted), self.probs_NC[order], self.logits_NC[order], weights_N, members_NMC)

    def save(self, folder: Path) -> None:
        """Write `labels.parquet`: id, probs (list of C doubles), logits (list of C doubles), weight where rows differ, and members
        (M lists of C doubles) of a crowd."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"id": list(self.ids), "probs": self.probs_NC.tolist(), "logits": self.logits_NC.tolist()}
        if self.weights_N is not None:
            columns["weight"] = self.weights_N.tolist()
        if self.members_NMC is not None:
            columns["members"] = self.members_NMC.tolist()
        pq.write_table(pa.table(columns), folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> LabelTable:
        """The table in a finished stage's folder."""
        import pyarrow.parquet as pq

        table = pq.read_table(folder / FILE)
        probs = np.array(table["probs"].to_pylist(), dtype=np.float64)
        logits = np.array(table["logits"].to_pylist(), dtype=np.float64)
        weighted = "weight" in table.column_names
        weights = np.array(table["weight"].to_pylist(), dtype=np.float64) if weighted else None
        crowded = "members" in table.column_names
        members = np.array(table["members"].to_pylist(), dtype=np.float64) if crowded else None
        return cls(tuple(table["id"].to_pylist()), probs, logits, weights, members)


def places(ids: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Where each wanted row stands among `ids`.

    Raises BadInput with counts and sample ids when a wanted row is not there, or any id appears twice.
    """
    place: dict[str, int] = {}
    doubled = []
    for i, row_id in enumerate(ids):
        if row_id in place:
            doubled.append(row_id)
        place[row_id] = i
    missing = [row_id for row_id in wanted if row_id not in place]
    for fault, found in (("are labelled twice", doubled), ("have no label", missing)):
        if found:
            what = f"{len(found)} of {len(wanted)} rows {fault}, e.g. {', '.join(found[:3])}"
            raise BadInput(where, what, "run `w2s verify`")
    return [place[row_id] for row_id in wanted]


def softmax(logits_NC: Floats) -> Floats:
    """Probabilities of each row, in float64."""
    shifted = np.asarray(logits_NC, dtype=np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    exp = np.exp(shifted)
    result: Floats = exp / exp.sum(axis=-1, keepdims=True)
    return result
