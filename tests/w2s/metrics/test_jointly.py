"""Means drawn together: the two-way bootstrap where rows are shared, and right where they are not."""

# N rows, S seeds

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from w2s.metrics import sums
from w2s.metrics.jointly import Column, Drawn, Quantity, constant, jointly


def shared(values_SN: Any, pool: str = "test") -> Quantity:
    ids = [f"r{n:03}" for n in range(values_SN.shape[1])]
    return Quantity(pool, tuple(Column(seed, ids, row_N) for seed, row_N in enumerate(values_SN)))


def test_where_all_seeds_share_their_rows_it_is_the_two_way_bootstrap() -> None:
    values_SN = np.random.default_rng(0).normal(1, 2, size=(4, 300)) + np.arange(4)[:, None]
    found = jointly({"a": shared(values_SN)}, draws=4000)["a"]
    expected = sums({"a": values_SN}, draws=4000).mean("a")
    assert found.found == pytest.approx(values_SN.mean())
    ends = found.interval()
    assert ends.low == pytest.approx(expected.low, abs=0.1)
    assert ends.high == pytest.approx(expected.high, abs=0.1)
    assert expected.high is not None
    assert expected.low is not None
    assert expected.high - expected.low > 1.5, "seeds differ by 3: their luck is in the interval"


def test_the_order_of_rows_and_seeds_moves_nothing() -> None:
    generator = np.random.default_rng(1)
    columns = [Column(seed, [f"r{seed}-{n}" for n in range(40)], generator.normal(size=40)) for seed in range(3)]
    moved = []
    for column in reversed(columns):
        order = generator.permutation(40)
        moved.append(Column(column.seed, [column.ids[i] for i in order], column.values_N[order]))
    there = jointly({"a": Quantity("held out", tuple(columns))}, draws=100)["a"]
    back = jointly({"a": Quantity("held out", tuple(moved))}, draws=100)["a"]
    assert there.found == pytest.approx(back.found, abs=1e-15)
    assert there.drawn_D == pytest.approx(back.drawn_D, abs=1e-12)


def test_what_quantities_have_in_common_cancels_in_every_draw() -> None:
    values_SN = np.random.default_rng(2).normal(size=(3, 50))
    found = jointly({"a": shared(values_SN), "b": shared(values_SN + 0.25)}, draws=200)
    assert (found["b"] - found["a"]).drawn_D == pytest.approx(0.25)
    ends = (found["b"] - found["a"]).interval()
    assert (ends.low, ends.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Rows of their own in every seed: 90 % intervals of a mean that is 0, over 200 data sets."""
    generator, held = np.random.default_rng(3), 0
    for _ in range(200):
        columns = tuple(Column(0, [f"{n}" for n in range(60)], generator.normal(size=60)) for _ in range(1))
        ends = jointly({"a": Quantity("held out", columns)}, draws=200)["a"].interval(0.9)
        assert ends.low is not None
        assert ends.high is not None
        held += ends.low <= 0 <= ends.high
    assert 165 <= held <= 194


def test_rows_are_all_alike_whichever_seed_has_them() -> None:
    columns = (Column(0, ["a"], np.array([1.0])), Column(1, ["a", "b", "c"], np.array([0.0, 0.0, 0.0])))
    assert jointly({"x": Quantity("held out", columns)}, draws=10)["x"].found == 0.25


def test_a_draw_without_any_row_is_left_out() -> None:
    both = Drawn(0.5, np.array([0.1, np.nan, 0.9, 0.5]))
    assert both.interval(0.9).low == 0.1
    assert both.times(constant(2.0, 4)).found == 1.0


@pytest.mark.parametrize("ids, values", [(["a", "a"], [0.0, 1.0]), (["a"], [np.nan]), ([], []), (["a", "b"], [1.0])])
def test_odd_columns_are_refused(ids: list[str], values: list[float]) -> None:
    with pytest.raises(ValueError):
        jointly({"a": Quantity("test", (Column(0, ids, np.array(values)),))}, draws=10)
