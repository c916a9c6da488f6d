"""Written answers are graded by exact match, by hand-counted tables."""

from __future__ import annotations

import pytest

from w2s.metrics import grade_texts, matches

TRUTH = ("a", "b", "a", "c")
STUDENT = (" a ", "x", "b", "c")
WEAK = ("a", "x", "b", "y")


def test_space_around_a_text_does_not_matter_and_its_letters_do() -> None:
    assert matches((" Qh4#", "Qh4", "qh4#", "Q h4#"), ("Qh4#",) * 4).tolist() == [True, False, False, False]


def test_scores_are_those_counted_by_hand() -> None:
    assert grade_texts(STUDENT, TRUTH) == {"n": 4, "accuracy": 0.5, "majority": 0.5}
    beside = grade_texts(STUDENT, TRUTH, WEAK)
    assert beside["agreement"] == 0.75
    assert beside["agreement_where_right"] == 1.0
    assert beside["agreement_where_wrong"] == pytest.approx(2 / 3)
    assert beside["right_where_apart"] == 1.0


def test_what_no_row_defines_is_none() -> None:
    same = grade_texts(TRUTH, TRUTH, TRUTH)
    assert (same["agreement_where_wrong"], same["right_where_apart"]) == (None, None)


def test_nothing_and_different_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        grade_texts((), ())
    with pytest.raises(ValueError):
        grade_texts(("a",), ("a", "b"))
