"""What a report reads from finished stages' folders, each file once. What is damaged is a problem with a remedy."""

# N rows, C classes

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cluster.errors import BadInput, StageFailed
from cluster.store import Store
from w2s import bridge
from w2s.labels import FILE as LABELS
from w2s.labels import LabelTable
from w2s.metrics import Floats, Ints, check
from w2s.stages import Labels, Model, Part, Rows, Selected
from w2s.work.table import FILE as ROWS
from w2s.work.table import RowTable, Whole, read_all

CURVE, COURSE = "curve.json", "course.json"
Found = TypeVar("Found")


class Reader:
    """Reads rows, labels and curves of one store; None stands for what it does not hold."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, tuple[tuple[str, ...], Ints]] = {}
        self._labels: dict[tuple[str, str], Floats] = {}
        self._whole: dict[str, Whole] = {}

    def rows(self, rows: Rows) -> tuple[tuple[str, ...], Ints] | None:
        """Ids [N] and true labels [N] of the test rows."""
        if not self._store.has(rows.key):
            return None
        if rows.key not in self._rows:
            self._rows[rows.key] = self._read(rows.key, bridge.name(rows), ROWS, _test_rows)
        return self._rows[rows.key]

    def labels(self, stage: Labels, rows: Rows) -> Floats | None:
        """Class probabilities [N, C] on the test rows, in their order."""
        test = self.rows(rows)
        if test is None or not self._store.has(stage.key):
            return None
        ids, truth_N = test

        asked = (stage.key, rows.key)
        if asked not in self._labels:
            self._labels[asked] = self._joined(stage, ids, truth_N)
        return self._labels[asked]

    def settled(self, stage: Labels) -> Labels:
        """Whose labels these are: of those that were chosen among several, the chosen one's, as the receipt has it."""
        if isinstance(stage, Selected) and self._store.has(stage.key):
            return stage.options[int(self._store.receipt(stage.key).metrics["chosen"])]
        return stage

    def held_out(self, stage: Labels, part: Part) -> tuple[Floats, Ints] | None:
        """Class probabilities [N, C] and true labels [N] of a part of the training rows."""
        if not self._store.has(stage.key):
            return None
        chosen = self._part(part)
        if chosen is None:
            return None
        truth_N = np.array(chosen.labels, dtype=np.int64)
        return self._joined(stage, chosen.ids, truth_N), truth_N

    def ids(self, part: Part) -> tuple[str, ...] | None:
        """The ids of a part of the training rows, in the order of `held_out`."""
        chosen = self._part(part)
        return None if chosen is None else chosen.ids

    def _part(self, part: Part) -> RowTable | None:
        rows = part.rows
        if not self._store.has(rows.key):
            return None
        if rows.key not in self._whole:
            self._whole[rows.key] = self._read(rows.key, bridge.name(rows), ROWS, lambda file: read_all(file.parent))
        whole = self._whole[rows.key]
        return whole.take(whole.places(part.json(by_content=False), bridge.name(rows)))

    def _joined(self, stage: Labels, ids: tuple[str, ...], truth_N: Ints) -> Floats:
        """A labeller's probabilities in the order of `ids`."""

        def read(file: Path) -> Floats:
            try:
                probs_NC = LabelTable.load(file.parent).join(ids, bridge.name(stage)).probs_NC
            except BadInput as problem:
                raise ValueError(problem.what) from None
            check(probs_NC, truth_N)
            return probs_NC

        return self._read(stage.key, bridge.name(stage), LABELS, read)

    def curve(self, model: Model) -> tuple[dict[str, Any], ...] | None:
        """What was seen at each look at a model while it learned: step, agreement, accuracy, loss."""
        if not self._store.has(model.key):
            return None
        return self._read(model.key, bridge.name(model), CURVE, _points)

    def course(self, model: Model) -> tuple[dict[str, Any], ...]:
        """What a model's loss learned beside it, by step; nothing of a loss that learns nothing."""
        if not self._store.has(model.key) or not (self._store.path(model.key) / COURSE).is_file():
            return ()
        return self._read(model.key, bridge.name(model), COURSE, _points)

    def _read(self, key: str, name: str, file: str, read: Callable[[Path], Found]) -> Found:
        import pyarrow as pa

        try:
            return read(self._store.path(key) / file)
        except FileNotFoundError:
            raise _damaged(name, key, f"{file} is missing") from None
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
                raise
            raise _damaged(name, key, f"{file} cannot be read ({type(error).__name__}: {error})") from None


def _test_rows(file: Path) -> tuple[tuple[str, ...], Ints]:
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["id", "label", "split"])
    is_test_N = np.array(table["split"].to_pylist()) == "test"
    ids = np.array(table["id"].to_pylist(), dtype=object)[is_test_N]
    return tuple(ids), np.array(table["label"].to_pylist(), dtype=np.int64)[is_test_N]


def _points(file: Path) -> tuple[dict[str, Any], ...]:
    points = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(points, list):
        raise ValueError("it is no list of points")
    return tuple({"step": int(point["step"]), **{k: v for k, v in point.items() if k != "step"}} for point in points)


def _damaged(name: str, key: str, what: str) -> StageFailed:
    remedy = "`w2s verify --quarantine` moves it aside, and the next run makes it again"
    return StageFailed(f"{name} ({key[:12]})", what.splitlines()[0], remedy)
