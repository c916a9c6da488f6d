"""Nearest rows and their mean labels, against plain loops; a row never has a say for itself."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.errors import BadInput
from w2s.work import neighbours
from w2s.work.neighbours import NOBODY, apart, mean_label, nearest, points


def by_hand(wanted: np.ndarray, among: np.ndarray, self_N: np.ndarray, k: int) -> list[list[int]]:
    found = []
    for row, own in zip(wanted, self_N, strict=True):
        others = [m for m in range(len(among)) if m != own]
        found.append(sorted(others, key=lambda m: (round(float(((row - among[m]) ** 2).sum()), 9), m))[:k])
    return found


@pytest.mark.parametrize("at_once", [2**24, 100], ids=["whole", "in pieces"])
def test_nearest_is_what_a_loop_finds(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "AT_ONCE", at_once)
    generator = np.random.default_rng(0)
    among = generator.normal(size=(60, 7)) + 100.0  # far from zero, where squares swallow differences
    inside = np.array([3, 8, 59, 0])
    wanted = np.concatenate([among[inside], generator.normal(size=(30, 7)) + 100.0])
    self_N = np.concatenate([inside, np.full(30, NOBODY)])
    np.testing.assert_array_equal(nearest(wanted, among, self_N, 9, "here"), by_hand(wanted, among, self_N, 9))


def test_equals_are_taken_in_their_order() -> None:
    """Points on a grid: many ties, at the cut too."""
    among = np.array([[float(x), float(y)] for x in range(5) for y in range(5)])
    own = np.arange(25)
    for k in (1, 3, 4, 7, 24, 40):
        np.testing.assert_array_equal(nearest(among, among, own, k, "here"), by_hand(among, among, own, min(k, 24)))


def test_a_twin_is_a_neighbour_and_oneself_is_not() -> None:
    """By identity, not by distance: two rows at one place are each other's nearest."""
    vectors = np.array([[0.0], [0.0], [1.0], [5.0]])
    assert nearest(vectors, vectors, np.arange(4), 1, "here").tolist() == [[1], [0], [0], [2]]


def test_the_mean_label_is_that_of_others() -> None:
    """EleutherAI/w2s lets a row be its own neighbour: then a lone wrong label, k = 1, would stand by itself."""
    vectors = np.array([[0.0], [0.1], [10.0], [10.1]])
    probs = np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.8], [0.4, 0.6]])
    found = mean_label(nearest(vectors, vectors, np.arange(4), 1, "here"), probs, np.ones(4))
    np.testing.assert_allclose(found, probs[[1, 0, 3, 2]])
    buggy = mean_label(nearest(vectors, vectors, np.full(4, NOBODY), 1, "here"), probs, np.ones(4))
    np.testing.assert_allclose(buggy, probs)


def test_labels_count_by_weight() -> None:
    probs = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    found = mean_label(np.array([[1, 2], [0, 1]]), probs, np.array([1.0, 3.0, 1.0]))
    np.testing.assert_allclose(found, [[0.125, 0.875], [0.25, 0.75]])


def test_a_pair_is_a_difference_that_turns_round_with_it() -> None:
    vectors = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(points(vectors, "here"), -points(vectors[:, ::-1], "here"))
    np.testing.assert_allclose(points(vectors[:, :1], "here"), vectors[:, 0])


def test_more_candidates_have_no_place() -> None:
    with pytest.raises(BadInput, match="rows of 4 candidates have no single place among others; choose labels by"):
        points(np.zeros((5, 4, 3), dtype=np.float32), "here")


def test_a_single_row_has_no_neighbour() -> None:
    with pytest.raises(BadInput, match="no row has a neighbour"):
        nearest(np.zeros((1, 2)), np.zeros((1, 2)), np.array([0]), 3, "here")


def test_distance_of_labels_is_total_variation() -> None:
    first, second = np.array([[0.2, 0.8], [0.1, 0.9]]), np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(apart(first, second), [0.3, 0.9])
