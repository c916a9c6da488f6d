"""Control labels: as many errors as asked, where the structure puts them."""

from __future__ import annotations

import numpy as np
import pytest

from w2s.work.corrupt import order, wrong
from w2s.work.table import RowTable

N = 40


def table(n_classes: int = 2, candidates: int = 1) -> RowTable:
    generator = np.random.default_rng(3)
    texts = tuple(tuple("x" * int(generator.integers(1, 9)) for _ in range(candidates)) for _ in range(N))
    return RowTable(tuple(f"id {i}" for i in range(N)), texts, tuple(int(i % n_classes) for i in range(N)), n_classes)


@pytest.mark.parametrize("candidates", [1, 2])
def test_by_length(candidates: int) -> None:
    rows = table(candidates=candidates)
    length = np.array([sum(len(text) for text in texts) for texts in rows.texts])
    longest, shortest = order("longest", rows, 0, None), order("shortest", rows, 0, None)
    assert length[longest].tolist() == sorted(length, reverse=True)
    assert length[shortest].tolist() == sorted(length)


def test_by_confidence() -> None:
    rows = table()
    one = np.random.default_rng(4).uniform(size=N)
    sure = np.stack([1 - one, one], axis=1)
    top, right = sure.max(axis=1), sure.argmax(axis=1) == np.array(rows.labels)
    assert top[order("unconfident", rows, 0, sure)].tolist() == sorted(top)
    found = order("confident", rows, 0, sure)
    count = int(right.sum())
    assert right[found[:count]].all(), "those that are right come first"
    assert top[found[:count]].tolist() == sorted(top[right], reverse=True)
    assert top[found[count:]].tolist() == sorted(top[~right])


def test_chance_depends_on_seed_and_id_alone() -> None:
    rows = table()
    first, again, other = (order("random", rows, seed, None) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert sorted(first) == list(range(N))
    turned = RowTable(rows.ids[::-1], rows.texts[::-1], rows.labels[::-1], 2)
    assert [turned.ids[i] for i in order("random", turned, 0, None)] == [rows.ids[i] for i in first]
    assert [turned.ids[i] for i in order("longest", turned, 0, None)] == [
        rows.ids[i] for i in order("longest", rows, 0, None)
    ], "and ties too"


def test_a_wrong_label_is_another_class_and_any_of_them() -> None:
    for classes in (2, 5):
        found = {(truth, wrong(f"id {i}", truth, classes, 0)) for i in range(300) for truth in range(classes)}
        assert found == {(a, b) for a in range(classes) for b in range(classes) if a != b}
