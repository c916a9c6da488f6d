"""Several verdicts made one: worked examples by hand, and what every way of combining must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s.labels import softmax
from w2s.work.combine import combine

HOWS = ("mean_prob", "mean_logit", "majority")


def crowd(probs: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Members' probabilities of class 1 -> [M, N, 2] probabilities and logits."""
    p = np.array(probs)
    probs_MNC = np.stack([1 - p, p], axis=-1)
    return probs_MNC, np.log(probs_MNC)


def test_by_hand() -> None:
    probs, logits = crowd([[0.9, 0.6], [0.5, 0.6], [0.4, 0.1]])
    np.testing.assert_allclose(combine(probs, logits, "mean_prob")[0][:, 1], [0.6, 1.3 / 3])
    odds = np.cbrt([9 * 1 * (4 / 6), 1.5 * 1.5 / 9])  # mean logit = geometric mean of the odds
    np.testing.assert_allclose(combine(probs, logits, "mean_logit")[0][:, 1], odds / (1 + odds))
    np.testing.assert_array_equal(combine(probs, logits, "majority")[0][:, 1], [0, 1])  # 0.5 votes for class 0


def test_a_tied_vote_goes_to_the_higher_mean() -> None:
    probs, logits = crowd([[0.9, 0.51], [0.4, 0.1]])
    np.testing.assert_array_equal(combine(probs, logits, "majority")[0][:, 1], [1, 0])


@given(
    st.lists(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from(HOWS),
    st.randoms(use_true_random=False),
)
def test_order_of_members_is_no_difference_and_rows_sum_to_one(probs: list[list[float]], how: str, rng: object) -> None:
    together = combine(*crowd(probs), how)[0]
    shuffled = list(probs)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    np.testing.assert_allclose(combine(*crowd(shuffled), how)[0], together, atol=1e-12)
    np.testing.assert_allclose(together.sum(axis=-1), 1)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4), st.integers(1, 4), st.sampled_from(HOWS[:2]))
def test_a_crowd_of_one_mind_says_what_each_says(row: list[float], members: int, how: str) -> None:
    probs, logits = crowd([row] * members)
    combined, combined_logits = combine(probs, logits, how)
    np.testing.assert_allclose(combined, probs[0], atol=1e-12)
    np.testing.assert_allclose(softmax(combined_logits), combined, atol=1e-9)


def test_three_classes() -> None:
    probs = np.array([[[0.5, 0.3, 0.2]], [[0.1, 0.2, 0.7]], [[0.45, 0.35, 0.2]]])
    assert combine(probs, np.log(probs), "majority")[0].tolist() == [[1.0, 0.0, 0.0]]


def test_no_such_way() -> None:
    with pytest.raises(ValueError, match="no way to combine called 'median'"):
        combine(*crowd([[0.5]]), "median")
