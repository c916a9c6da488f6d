"""The rows table: written once by the Rows stage, read in parts by everyone after it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import BadInput
from cluster.job import Context
from w2s.examples import Answered, Example
from w2s.stages import Piece, Split

FILE = "rows.parquet"


@dataclass(frozen=True)
class RowTable:
    """N rows of one part: ids, texts (one or C each), true labels 0 .. C-1.

    `highlights` holds each row's [start, end) spans of its first text, in characters; None where the task has none.
    `answers` are the true texts to be written, None where the task has classes.
    """

    ids: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    labels: tuple[int, ...]
    n_classes: int
    highlights: tuple[tuple[tuple[int, int], ...], ...] | None = None
    answers: tuple[str, ...] | None = None

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
    """Write `rows.parquet`: id, group, texts, label, split, and highlights, side and answer where any row has them."""
    rows = [(split, example) for split, examples in by_split.items() for example in examples]
    columns: dict[str, Any] = {
        "id": [example.id for _, example in rows],
        "group": [example.group for _, example in rows],
        "texts": [list(example.texts) for _, example in rows],
        "label": [example.label for _, example in rows],
        "split": [split for split, _ in rows],
    }
    if any(example.highlights for _, example in rows):
        spans = [[list(span) for span in example.highlights] for _, example in rows]
        columns["highlights"] = pa.array(spans, pa.list_(pa.list_(pa.int32(), 2)))
    if any(example.side for _, example in rows):
        columns["side"] = [example.side for _, example in rows]
    if any(isinstance(example, Answered) for _, example in rows):
        columns["answer"] = [example.answer if isinstance(example, Answered) else None for _, example in rows]
    table = pa.table(columns).replace_schema_metadata({"n_classes": str(n_classes)})
    pq.write_table(table, folder / FILE)


@dataclass(frozen=True)
class Whole:
    """All of a task's rows, in the table's order, which is the order of everything that is computed for all of them.

    `sides` are "" in a task without any.
    """

    rows: RowTable
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    sides: tuple[str, ...]
    _known: dict[str, list[int]] = field(default_factory=dict, compare=False, repr=False)  # many ask for the same part

    def places(self, part: Mapping[str, Any], where: str) -> list[int]:
        """Where the rows of a part (its science form) stand. Raises BadInput when the part is empty."""
        asked = json.dumps(part, sort_keys=True)
        if asked not in self._known:
            self._known[asked] = self._places(part, where)
        return self._known[asked]

    def _places(self, part: Mapping[str, Any], where: str) -> list[int]:
        drawn = Split.model_validate(part["split"]) if part["name"] != "test" else None
        kept = [
            i
            for i, (split, group, side) in enumerate(zip(self.splits, self.groups, self.sides, strict=True))
            if _belongs(part, drawn, split, group, side)
        ]
        if not kept:
            of_side = f" of side '{part['side']}'" if part.get("side") else ""
            remedy = "take more rows (task.n_train) or other shares (split)"
            raise BadInput(where, f"the '{part['name']}' part{of_side} holds no rows", remedy)
        return kept

    def take(self, places: Sequence[int]) -> RowTable:
        """Some of the rows."""
        rows = self.rows
        return RowTable(
            ids=tuple(rows.ids[i] for i in places),
            texts=tuple(rows.texts[i] for i in places),
            labels=tuple(rows.labels[i] for i in places),
            n_classes=rows.n_classes,
            highlights=None if rows.highlights is None else tuple(rows.highlights[i] for i in places),
            answers=None if rows.answers is None else tuple(rows.answers[i] for i in places),
        )


def read_all(folder: Path) -> Whole:
    """Every row of a task."""
    table = pq.read_table(folder / FILE)
    rows = RowTable(
        ids=tuple(table["id"].to_pylist()),
        texts=tuple(tuple(texts) for texts in table["texts"].to_pylist()),
        labels=tuple(table["label"].to_pylist()),
        n_classes=int(table.schema.metadata[b"n_classes"]),
        highlights=_highlights(table),
        answers=tuple(table["answer"].to_pylist()) if "answer" in table.column_names else None,
    )
    sides = table["side"].to_pylist() if "side" in table.column_names else [""] * len(rows)
    return Whole(rows, tuple(table["split"].to_pylist()), tuple(table["group"].to_pylist()), tuple(sides))


def read(folder: Path, part: Mapping[str, Any], where: str) -> RowTable:
    """The rows of one part (its science form). Raises BadInput when the part is empty."""
    whole = read_all(folder)
    return whole.take(whole.places(part, where))


def _highlights(table: pa.Table) -> tuple[tuple[tuple[int, int], ...], ...] | None:
    if "highlights" not in table.column_names:
        return None
    return tuple(tuple((start, end) for start, end in spans) for spans in table["highlights"].to_pylist())


def _belongs(part: Mapping[str, Any], drawn: Split | None, split: str, group: str, side: str) -> bool:
    if drawn is None:
        return split == "test"
    piece, wanted = part.get("piece"), part.get("side")
    return (
        split == "train"
        and wanted in (None, side)
        and drawn.part_of(part["seed"], group, wanted) == part["name"]
        and (piece is None or Piece(**piece).holds(part["seed"], group))
    )


def read_part(context: Context, part: Mapping[str, Any]) -> RowTable:
    """As `read`, from a running job's inputs."""
    return read(context.inputs[part["rows"]["key"]], part, context.name)
