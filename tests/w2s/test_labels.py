"""Labels are joined by id: order never matters, and a missing or doubled id is refused with counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from w2s.labels import LabelTable, softmax


def table(ids: list[str], seed: int = 0) -> LabelTable:
    logits = np.random.default_rng(seed).normal(size=(len(ids), 2))
    return LabelTable(tuple(ids), softmax(logits), logits)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=30, unique=True), st.randoms())
def test_shuffling_label_rows_changes_nothing(ids: list[str], rng: object) -> None:
    original = table(ids)
    order = list(range(len(ids)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    shuffled = LabelTable(tuple(ids[i] for i in order), original.probs_NC[order], original.logits_NC[order])
    np.testing.assert_array_equal(shuffled.join(ids, "x").probs_NC, original.probs_NC)


def test_labels_for_other_rows_are_left_out() -> None:
    assert table(["a", "b", "c"]).join(["c", "a"], "x").ids == ("c", "a")


def test_a_missing_label_is_refused_with_count_and_ids() -> None:
    with pytest.raises(BadInput, match=r"train student: 2 of 3 rows have no label, e\.g\. q, r"):
        table(["a", "b"]).join(["a", "q", "r"], "train student")


def test_a_doubled_label_is_refused() -> None:
    with pytest.raises(BadInput, match=r"1 of 1 rows are labelled twice, e\.g\. a"):
        table(["a", "a"]).join(["a"], "x")


def test_round_trip_is_exact(tmp_path: Path) -> None:
    original = table(["a", "b", "c"])
    original.save(tmp_path)
    loaded = LabelTable.load(tmp_path)
    assert loaded.ids == original.ids
    np.testing.assert_array_equal(loaded.probs_NC, original.probs_NC)
    np.testing.assert_array_equal(loaded.logits_NC, original.logits_NC)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="2 ids"):
        LabelTable(("a", "b"), np.ones((3, 2)), np.ones((3, 2)))
