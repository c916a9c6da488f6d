"""The Gate stage: on some rows the strong model's own labels stand in for the supervisor's.

Which rows is decided without the truth of the rows themselves (but for `oracle`, a bound): by P(IK) and a threshold that held-out
rows chose. What the receipt tells of accuracy is for the eye.
"""

# N rows, V held-out rows, C classes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cluster.job import Context
from w2s.examples import hash_unit
from w2s.labels import Floats, LabelTable, places
from w2s.work.filter import lowest_first
from w2s.work.table import RowTable, read_part

FILE = "gate.parquet"
DEFAULT_TAU = 0.7  # where too few held-out rows could choose it
FEWEST = 10  # held-out rows above a threshold, under which a standard error is no guide
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """The least P(IK) that passes (None: nothing does), and who says so."""

    tau: float | None
    by: Literal["given", "default", "held-out rows", "none passes"]
    told: dict[str, float | int]


def run(context: Context) -> dict[str, Any]:
    """Write the labels, and `gate.parquet`: which rows passed."""
    science = context.science
    rows = read_part(context, science["rows"])
    weak, own = (_labels(context, name, rows) for name in ("labels", "selves"))
    truth_N = np.array(rows.labels, dtype=np.int64)
    own_right_N, weak_right_N = own.probs_NC.argmax(axis=1) == truth_N, weak.probs_NC.argmax(axis=1) == truth_N
    threshold = _threshold(context) if science["knows"] is not None else None
    how = science["how"]
    if how in ("all", "oracle"):
        passed_N = np.ones(len(rows), dtype=np.bool_) if how == "all" else own_right_N
    else:
        assert threshold is not None, "a gate that is none of these asks P(IK)"
        passed_N = above(_knows(context, rows), threshold.tau)
        if how != "knows":
            passed_N = as_many(int(passed_N.sum()), how, own.probs_NC, rows.ids, science["seed"])
    table = merged(weak, own, passed_N, hard=science["hard"])
    table.save(context.out)
    _save(context.out, rows.ids, passed_N)
    return {
        "n": len(rows),
        "passed": int(passed_N.sum()),
        "share": float(passed_N.mean()),
        **({} if threshold is None else {"tau": threshold.tau, "tau_by": threshold.by, **threshold.told}),
        **_accuracies(own_right_N, weak_right_N, passed_N),
    }


def choose_tau(knows_V: Floats, own_right_V: Flags, weak_right_V: Flags, rule: str = "smallest") -> float | None:
    """A P(IK) so that on the held-out rows at or above it own labels are right more often than weak ones, by more than one
    standard error of the paired difference (sd / sqrt(n), n >= 10); None where there is none.

    With w rows that own labels alone have right and l that weak ones alone have, that is w - l > sqrt(w + l), whatever n is.
    smallest: the smallest such. It lets rows pass on which own labels are worse, as long as those above them make up for it.
    most: that of the largest w - l, so that no row passes whose company costs right labels; of equals the largest.
    """
    order = np.argsort(-knows_V, kind="stable")
    won_V = np.cumsum(own_right_V[order] & ~weak_right_V[order])
    lost_V = np.cumsum(weak_right_V[order] & ~own_right_V[order])
    known_V = knows_V[order]
    last_V = np.append(known_V[1:] != known_V[:-1], True)  # rows of equal P(IK) pass together
    many_V = np.arange(1, len(order) + 1) >= FEWEST
    fits_V = last_V & many_V & (won_V > lost_V) & ((won_V - lost_V) ** 2 > won_V + lost_V)
    if not fits_V.any():
        return None
    chosen = np.flatnonzero(fits_V)[-1] if rule == "smallest" else np.where(fits_V, won_V - lost_V, 0).argmax()
    return float(known_V[chosen])


def above(knows_N: Floats, tau: float | None) -> Flags:
    """Which rows pass."""
    found: Flags = np.zeros(len(knows_N), dtype=np.bool_) if tau is None else knows_N >= tau
    return found


def as_many(count: int, how: str, own_NC: Floats, ids: Sequence[str], seed: int) -> Flags:
    """So many rows: those of the surest own labels (`confidence`), or any (`random`), by hash and no matter in which order."""
    if how == "confidence":
        order = lowest_first(-own_NC.max(axis=1), ids)
    else:
        order = np.argsort([hash_unit("gate", seed, row_id) for row_id in ids], kind="stable")
    found = np.zeros(len(ids), dtype=np.bool_)
    found[order[:count]] = True
    return found


def merged(weak: LabelTable, own: LabelTable, passed_N: Flags, *, hard: bool) -> LabelTable:
    """Own labels (as certain, where `hard`) on the rows that passed, the others as they are, to the bit."""
    own_NC = np.eye(own.probs_NC.shape[1])[own.probs_NC.argmax(axis=1)] if hard else own.probs_NC
    own = LabelTable.of_probs(own.ids, own_NC)
    probs_NC, logits_NC = weak.probs_NC.copy(), weak.logits_NC.copy()
    probs_NC[passed_N], logits_NC[passed_N] = own.probs_NC[passed_N], own.logits_NC[passed_N]
    return LabelTable(weak.ids, probs_NC, logits_NC, weak.weights_N)


def passed(folder: Path, ids: Sequence[str], where: str) -> Flags:
    """Which of these rows passed the gate whose folder this is."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE)
    order = places(table["id"].to_pylist(), ids, where)
    return np.array(table["passed"].to_pylist(), dtype=np.bool_)[order]


def _save(folder: Path, ids: Sequence[str], passed_N: Flags) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": list(ids), "passed": passed_N.tolist()}), folder / FILE)


def _labels(context: Context, name: str, rows: RowTable) -> LabelTable:
    return LabelTable.load(context.inputs[context.science[name]["key"]]).join(rows.ids, context.name)


def _knows(context: Context, rows: RowTable) -> Floats:
    return _labels(context, "knows", rows).probs_NC[:, 1]


def _threshold(context: Context) -> Threshold:
    science = context.science
    if science["tau"] is not None:
        return Threshold(science["tau"], "given", {})
    if science["val"] is None:
        return Threshold(DEFAULT_TAU, "default", {})
    rows = read_part(context, science["val"])
    if len(rows) < science["least"]:
        return Threshold(DEFAULT_TAU, "default", {"val_n": len(rows)})
    truth_V = np.array(rows.labels, dtype=np.int64)
    own_V, weak_V = (
        _labels(context, name, rows).probs_NC.argmax(axis=1) == truth_V for name in ("val_selves", "val_labels")
    )
    knows_V = _knows(context, rows)
    tau = choose_tau(knows_V, own_V, weak_V, science["rule"])
    chosen_V = above(knows_V, tau)
    told = {
        "val_n": len(rows),
        "val_passed": int(chosen_V.sum()),
        "val_own": float(own_V.mean()),
        "val_weak": float(weak_V.mean()),
    }
    if tau is None:
        return Threshold(None, "none passes", told)
    above_told = {"val_own_passed": float(own_V[chosen_V].mean()), "val_weak_passed": float(weak_V[chosen_V].mean())}
    return Threshold(tau, "held-out rows", {**told, **above_told})


def _accuracies(own_N: Flags, weak_N: Flags, passed_N: Flags) -> dict[str, float | None]:
    """How right each source is, where it is taken and where it is not.

    gain          accuracy of what came out, less that of the labels that went in
    gain_random   the same for as many rows drawn by chance (its expectation): beyond that, the choice of rows has a merit
    easier        how much more often the supervisor's labels are right on the rows that passed than on all: a gate may pick
                  what is easy for both
    """
    mixed_N = np.where(passed_N, own_N, weak_N)
    own, weak = float(own_N.mean()), float(weak_N.mean())
    return {
        "accuracy": float(mixed_N.mean()),
        "own": own,
        "weak": weak,
        "own_passed": _mean(own_N[passed_N]),
        "weak_passed": _mean(weak_N[passed_N]),
        "own_stopped": _mean(own_N[~passed_N]),
        "weak_stopped": _mean(weak_N[~passed_N]),
        "gain": float(mixed_N.mean()) - weak,
        "gain_random": float(passed_N.mean()) * (own - weak),
        "easier": float(weak_N[passed_N].mean()) - weak if passed_N.any() else None,
    }


def _mean(flags_N: Flags) -> float | None:
    return float(flags_N.mean()) if len(flags_N) else None
