"""The rows table: written once by the Rows stage, read in parts by everyone after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import BadInput
from cluster.job import Context
from w2s.examples import Example
from w2s.stages import Split

FILE = "rows.parquet"


@dataclass(frozen=True)
class RowTable:
    """N rows of one part: ids, texts (one or C each), true labels 0 .. C-1."""

    ids: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    labels: tuple[int, ...]
    n_classes: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def candidates(self) -> int:
        """Texts per row: 1, or C where the candidates themselves are scored."""
        return len(self.texts[0]) if self.texts else 1

    @property
    def n_outputs(self) -> int:
        """Head width: C classes for one text, one score for each of several candidates."""
        return self.n_classes if self.candidates == 1 else 1


def write(folder: Path, by_split: Mapping[str, Sequence[Example]], n_classes: int) -> None:
    """Write `rows.parquet`: id, group, texts, label, split."""
    rows = [(split, example) for split, examples in by_split.items() for example in examples]
    columns = {
        "id": [example.id for _, example in rows],
        "group": [example.group for _, example in rows],
        "texts": [list(example.texts) for _, example in rows],
        "label": [example.label for _, example in rows],
        "split": [split for split, _ in rows],
    }
    table = pa.table(columns).replace_schema_metadata({"n_classes": str(n_classes)})
    pq.write_table(table, folder / FILE)


def read(folder: Path, part: Mapping[str, Any], where: str) -> RowTable:
    """The rows of one part (its science form). Raises BadInput when the part is empty."""
    table = pq.read_table(folder / FILE)
    keep = [
        i
        for i, row in enumerate(table.select(["split", "group"]).to_pylist())
        if _belongs(part, row["split"], row["group"])
    ]
    if not keep:
        raise BadInput(
            where, f"the '{part['name']}' part holds no rows", "take more rows (task.n_train) or other shares (split)"
        )
    chosen = table.take(keep)
    return RowTable(
        ids=tuple(chosen["id"].to_pylist()),
        texts=tuple(tuple(texts) for texts in chosen["texts"].to_pylist()),
        labels=tuple(chosen["label"].to_pylist()),
        n_classes=int(table.schema.metadata[b"n_classes"]),
    )


def _belongs(part: Mapping[str, Any], split: str, group: str) -> bool:
    if part["name"] == "test":
        return split == "test"
    return split == "train" and Split.model_validate(part["split"]).part_of(part["seed"], group) == part["name"]


def read_part(context: Context, part: Mapping[str, Any]) -> RowTable:
    """As `read`, from a running job's inputs."""
    return read(context.inputs[part["rows"]["key"]], part, context.name)
