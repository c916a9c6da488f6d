"""What event files say, read back by TensorBoard's own reader: precision and recall, histograms, pictures, layouts; old runs go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom
from tensorboard.util import tensor_util

from cluster import event_files, event_values

TRUTH = np.array([True, True, False, False, True])
SCORE = np.array([1.0, 0.5, 0.5, 0.0, 0.25])


def read_back(folder: Path, *values: Any) -> EventAccumulator:
    event_files.write_run(folder, [(0, value) for value in values])
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def array(found: EventAccumulator, tag: str) -> Any:
    return tensor_util.make_ndarray(found.Tensors(tag)[0].tensor_proto)


def test_precision_and_recall_are_those_of_every_threshold(tmp_path: Path) -> None:
    found = array(read_back(tmp_path, event_values.pr_curve("pr", TRUTH, SCORE)), "pr")
    assert found.shape == (6, event_values.THRESHOLDS)
    for place, at in enumerate(np.linspace(0, 1, event_values.THRESHOLDS)):
        said = at <= SCORE
        hits, false = (said & TRUTH).sum(), (said & ~TRUTH).sum()
        left, missed = (~said & ~TRUTH).sum(), (~said & TRUTH).sum()
        precision, recall = hits / max(hits + false, 1), hits / (hits + missed)
        assert found[:, place] == pytest.approx([hits, false, left, missed, precision, recall])
    assert found[0, 0] == 3, "all rows lie at or above 0"
    assert found[0, -1] == 1, "a score of 1 lies at the last threshold"


def test_one_class_alone_divides_by_nothing() -> None:
    found = event_values.pr_counts(np.zeros(3, dtype=bool), np.array([0.1, 0.2, 0.3]))
    assert np.isfinite(found).all()
    assert not found[5].any()


def test_a_histogram_counts_every_value_or_refuses(tmp_path: Path) -> None:
    value = event_values.histogram("h", SCORE, [0.0, 0.25, 0.5, 1.0], "told")
    found = read_back(tmp_path, value)
    assert array(found, "h").tolist() == [[0.0, 0.25, 1.0], [0.25, 0.5, 1.0], [0.5, 1.0, 3.0]]
    assert found.SummaryMetadata("h").summary_description == "told"
    with pytest.raises(ValueError, match="1 of 5 values lie outside"):
        event_values.histogram("h", SCORE, [0.0, 0.5, 0.9])


def test_pictures_texts_and_layouts_are_whole(tmp_path: Path) -> None:
    found = read_back(
        tmp_path,
        event_values.image("i", b"png", 3, 2, "told"),
        event_values.layout({"A": {"b": ["^c$"], "d": ["^e$", "^f$"]}}),
        event_values.scalar("s", 0.25, "why"),
    )
    assert array(found, "i").tolist() == [b"3", b"2", b"png"]
    layout = layout_pb2.Layout.FromString(array(found, custom.CONFIG_SUMMARY_TAG).item())
    assert [(one.title, [(c.title, list(c.multiline.tag)) for c in one.chart]) for one in layout.category] == [
        ("A", [("b", ["^c$"]), ("d", ["^e$", "^f$"])])
    ]
    assert [event.value for event in found.Scalars("s")] == [0.25]
    assert found.SummaryMetadata("s").summary_description == "why"


def test_runs_that_are_no_more_are_removed_at_any_depth(tmp_path: Path) -> None:
    for run in ("a", "a/b", "c/d", "e"):
        event_files.write_run(tmp_path / run, [(0, event_values.scalar("s", 1.0))])
    (tmp_path / "e" / "notes.txt").write_text("kept", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    event_files.clear(tmp_path, {"a/b"})
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_dir()}
    assert left == {"a", "a/b", "e", "link"}
    assert [path.name for path in (tmp_path / "e").iterdir()] == ["notes.txt"]
    assert list((tmp_path / "a" / "b").iterdir())
