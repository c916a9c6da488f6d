"""Which labels are kept, against plain counting; graphs made by hand; nothing depends on the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from w2s.labels import LabelTable
from w2s.work.filter import above, least_apart, most_confident, share
from w2s.work.topological import largest_components, zeta


def binary(*one: float) -> np.ndarray:
    return np.stack([1 - np.array(one), np.array(one)], axis=1)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"row {i}" for i in range(count))


def test_the_surest_of_each_class_are_kept() -> None:
    probs = binary(0.9, 0.6, 0.7, 0.8, 0.1, 0.4)  # four of class 1, two of class 0
    assert most_confident(probs, 0.5, names(6)).tolist() == [True, False, False, True, True, False]
    assert most_confident(probs, 0.01, names(6)).tolist() == [True, False, False, False, True, False]
    assert most_confident(probs, 1.0, names(6)).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 1))
def test_shares_of_each_class_are_kept_and_the_least_of_them_is_not_less_sure(ones: list[float], keep: float) -> None:
    probs = binary(*ones)
    kept, side = most_confident(probs, keep, names(len(ones))), probs.argmax(axis=1)
    for c in (0, 1):
        of = side == c
        if of.any():
            assert keep * of.sum() - 1e-6 <= (kept & of).sum() < keep * of.sum() + 1
            if (of & ~kept).any():
                assert probs[of & kept, c].min() >= probs[of & ~kept, c].max()


def test_a_share_is_counted_in_whole_rows() -> None:
    assert [share(0.7, 10), share(0.9, 10), share(0.95, 10), share(1.0, 7), share(0.001, 10)] == [7, 9, 10, 7, 1]


def test_three_classes_are_chosen_one_by_one() -> None:
    probs = np.array([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.1, 0.2, 0.7]])
    assert most_confident(probs, 0.5, names(5)).tolist() == [False, True, True, True, False]


def test_a_threshold_is_to_be_exceeded() -> None:
    assert above(binary(0.75, 0.76, 0.2, 0.5), 0.75, "here").tolist() == [False, True, True, False]
    with pytest.raises(BadInput, match=r"no label is above 0\.9; the surest has 0\.800; lower the threshold"):
        above(binary(0.8, 0.3), 0.9, "here")


def test_the_farthest_from_the_second_opinion_are_dropped() -> None:
    distance = np.array([0.1, 0.9, 0.3, 0.8, 0.2])
    assert least_apart(distance, 0.6, names(5)).tolist() == [True, False, True, False, True]


@given(st.permutations(range(12)), st.sampled_from([0.25, 0.5, 0.9]))
def test_the_order_of_rows_has_no_say(order: list[int], keep: float) -> None:
    """With ties everywhere: the same ids are kept."""
    ids, ones = names(12), np.array([0.2, 0.9, 0.9, 0.9, 0.6, 0.6, 0.2, 0.2, 0.9, 0.6, 0.6, 0.9])
    for choose in (lambda i: most_confident(binary(*ones[i]), keep, [ids[j] for j in i]),
                   lambda i: least_apart(ones[i], keep, [ids[j] for j in i])):  # fmt: skip
        there, here = choose(list(range(12))), choose(order)
        assert {ids[i] for i in np.flatnonzero(there)} == {ids[order[i]] for i in np.flatnonzero(here)}


def test_the_largest_component_of_each_class_is_kept() -> None:
    """Class 0: 0 -> 1 -> 2 -> 0 is a ring, 3 points into it but nobody points back, 4 and 5 are two apart.
    Class 1: 6 <-> 7; 8 <-> 9 would be one with them through row 3 of the other class; 10 is alone."""
    links = [[1], [2], [0], [0], [5], [4], [7], [6], [9], [8], [3]]
    classes = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    kept = largest_components(np.array(links), classes)
    assert np.flatnonzero(kept).tolist() == [0, 1, 2, 6, 7], "of 6-7 and 8-9, as large as each other, the first"


def test_links_between_classes_do_not_count() -> None:
    """A ring through both classes is no ring in either; in one class it is."""
    ring = np.array([[1], [2], [3], [0]])
    assert largest_components(ring, np.zeros(4, dtype=np.int64)).all()
    assert np.flatnonzero(largest_components(ring, np.array([0, 1, 0, 1]))).tolist() == [0, 1]


def labels(probs: np.ndarray) -> LabelTable:
    return LabelTable.of_probs(names(len(probs)), probs)


def test_zeta_drops_those_farthest_from_their_neighbours_down_to_the_share() -> None:
    vectors = np.array([[0.0], [0.1], [0.25], [5.0], [5.1], [5.25], [5.4]])
    given = labels(binary(0.9, 0.8, 0.1, 0.2, 0.1, 0.9, 0.1))
    whole = np.ones(7, dtype=bool)
    assert zeta(vectors, given, whole, 2, 1.0, names(7), "here").all()
    assert np.flatnonzero(~zeta(vectors, given, whole, 2, 0.8, names(7), "here")).tolist() == [5]
    assert np.flatnonzero(~zeta(vectors, given, whole, 2, 0.7, names(7), "here")).tolist() == [2, 5]


def test_where_components_have_dropped_enough_no_more_is_dropped() -> None:
    core = np.array([True, True, False, False, True, True, False])
    vectors, given = np.arange(7.0)[:, None], labels(binary(0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9))
    assert zeta(vectors, given, core, 2, 0.9, names(7), "here").tolist() == core.tolist()
    assert (zeta(vectors, given, core, 2, 0.3, names(7), "here") & ~core).sum() == 0


def test_neighbours_of_zeta_are_sought_among_those_left() -> None:
    """Rows 1 and 4 are gone: the nearest to 0 is 2, to 3 it is 5; with them, others would be dropped."""
    vectors = np.array([[0.0], [0.1], [1.0], [5.0], [5.1], [6.0]])
    given = labels(binary(0.9, 0.0, 0.8, 0.9, 0.9, 0.2))
    core = np.array([True, False, True, True, False, True])
    kept = zeta(vectors, given, core, 1, 0.3, names(6), "here")
    assert set(np.flatnonzero(kept)) == {0, 2}
