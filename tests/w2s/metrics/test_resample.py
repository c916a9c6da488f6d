"""The bootstrap of numbers: closed forms, pairing, ratios, and invariances."""

# N rows, S seeds

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s.metrics import Interval, interval, sums


def width(value: Interval | None) -> float:
    assert value is not None
    assert value.low is not None
    assert value.high is not None
    return value.high - value.low


def test_the_interval_of_one_seed_is_that_of_a_mean() -> None:
    """Rows alone: the bootstrap has a closed form, 2 * 1.96 * sd / sqrt(N)."""
    values = np.random.default_rng(0).normal(3, 2, size=(1, 400))
    found = sums({"x": values}, draws=4000).mean("x")
    assert found.mean == pytest.approx(values.mean())
    assert width(found) == pytest.approx(2 * 1.96 * values.std() / math.sqrt(400), rel=0.08)


def test_seeds_add_their_own_spread() -> None:
    """Rows that never differ leave the variance of S seeds: between seeds over S, of which (S - 1) / S is seen."""
    values = np.random.default_rng(1).normal(size=(12, 1)) * np.ones((1, 50))
    found = sums({"x": values}, draws=4000).mean("x")
    assert width(found) == pytest.approx(2 * 1.96 * values[:, 0].std() / math.sqrt(12), rel=0.1)


def test_what_two_have_in_common_cancels() -> None:
    generator = np.random.default_rng(2)
    weak = generator.normal(0, 5, size=(3, 200))
    student = weak - 0.1
    found = sums({"weak": weak, "student": student, "gain": weak - student})
    assert width(found.mean("gain")) < 1e-9 < width(found.mean("weak"))
    assert width(found.mean("weak")) == pytest.approx(width(found.mean("student")))


def test_a_ratio_is_sum_over_sum_and_leaves_out_draws_without_anything_below() -> None:
    above, below = np.array([[1.0, 0, 1, 0]]), np.array([[1.0, 1, 1, 0]])
    found = sums({"above": above, "below": below, "none": np.zeros((1, 4))}).ratio("above", "below")
    assert found is not None
    assert found.mean == pytest.approx(2 / 3)
    assert (found.low, found.high) == (0, 1)
    assert sums({"above": above, "none": np.zeros((1, 4))}).ratio("above", "none") is None
    lonely = sums({"above": np.eye(1, 8), "below": np.eye(1, 8)}).ratio("above", "below")
    assert lonely == Interval(1, 1, 1)  # a third of the draws never take the first row


def test_flags_and_numbers_agree_on_correctness() -> None:
    flags = np.random.default_rng(3).random((3, 80)) < 0.7
    numbers, marks = sums({"x": flags.astype(float)}, draws=4000).mean("x"), interval(flags, draws=4000)
    assert numbers.mean == pytest.approx(marks.mean)
    assert width(numbers) == pytest.approx(width(marks), rel=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing_at_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values, order = generator.normal(size=(2, 30)), generator.permutation(30)
    there, back = (sums({"x": found, "y": found**2}, draws=50) for found in (values, values[:, order]))
    assert there.mean("x") == back.mean("x")
    assert there.ratio("x", "y") == back.ratio("x", "y")


@pytest.mark.parametrize(
    "values, says",
    [
        ({"x": np.zeros((2, 3)), "y": np.zeros((2, 4))}, "shape"),
        ({"x": np.zeros(3)}, "shape"),
        ({"x": np.full((1, 2), np.nan)}, "NaN"),
    ],
)
def test_odd_numbers_are_refused(values: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        sums(values)
