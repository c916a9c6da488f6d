"""Written answers with identity: texts by example id, joined by id and never by position."""

# N rows

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s.labels import places

FILE = "answers.parquet"


@dataclass(frozen=True)
class AnswerTable:
    """What was written for N rows, in no meaningful order.

    `log_probs` are natural logarithms of the probability of all tokens of an answer together, its end among them where the
    writer came to one; `mean_log_probs` the same a token: how sure the writer was.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    log_probs: tuple[float, ...]
    mean_log_probs: tuple[float, ...]

    def __post_init__(self) -> None:
        counts = {len(column) for column in (self.ids, self.texts, self.log_probs, self.mean_log_probs)}
        if len(counts) > 1:
            raise ValueError(f"columns of different lengths: {sorted(counts)}")

    def join(self, wanted: Sequence[str], where: str) -> AnswerTable:
        """These rows, in the order of `wanted`; raises BadInput as `LabelTable.join`."""
        order = places(self.ids, wanted, where)
        return AnswerTable(
            tuple(wanted),
            tuple(self.texts[i] for i in order),
            tuple(self.log_probs[i] for i in order),
            tuple(self.mean_log_probs[i] for i in order),
        )

    def save(self, folder: Path) -> None:
        """Write `answers.parquet`: id, text, log_prob, mean_log_prob."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            "id": list(self.ids),
            "text": list(self.texts),
            "log_prob": list(self.log_probs),
            "mean_log_prob": list(self.mean_log_probs),
        }
        pq.write_table(pa.table(columns), folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> AnswerTable:
        """The table in a finished stage's folder."""
        import pyarrow.parquet as pq

        table = pq.read_table(folder / FILE)
        return cls(*(tuple(table[name].to_pylist()) for name in ("id", "text", "log_prob", "mean_log_prob")))
