"""Two labellers on the same rows: the test is McNemar's with one seed and what all exchanges give with more; differences pair."""

# N rows, S seeds

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from w2s.metrics import interval
from w2s.metrics.paired import EXACT, Three, difference, flip_test, pgr_difference

RNG = np.random.default_rng(0)


def right(share: float, seeds: int = 2, rows: int = 300, seed: int = 1) -> Any:
    return np.random.default_rng(seed).random((seeds, rows)) < share


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40)
def test_with_one_seed_it_is_mcnemars_exact_test(won: int, lost: int) -> None:
    one = np.array([[False] * won + [True] * lost + [True] * 5])
    other = np.array([[True] * won + [False] * lost + [True] * 5])
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert flip_test(one, other) == pytest.approx(expected)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_with_more_seeds_it_counts_all_exchanges(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, other = generator.random((3, 9)) < 0.5, generator.random((3, 9)) < 0.7
    signed = (other.astype(int) - one.astype(int)).sum(axis=0)
    sums = [abs(sum(s * d for s, d in zip(signs, signed, strict=True))) for signs in product((1, -1), repeat=9)]
    expected = np.mean([one_sum >= abs(signed.sum()) for one_sum in sums])
    assert flip_test(one, other) == pytest.approx(float(expected))
    assert flip_test(other, one) == pytest.approx(float(expected))


def test_very_many_rows_take_the_normal_way_and_agree() -> None:
    rows = EXACT + 5_000
    one = right(0.70, 1, rows)
    other = one ^ (np.random.default_rng(2).random((1, rows)) < 0.03)
    wins, losses = int((other & ~one).sum()), int((one & ~other).sum())
    assert wins + losses < EXACT
    exact = flip_test(one, other)
    assert exact == pytest.approx(binomtest(wins, wins + losses).pvalue)
    many = np.tile(one, (1, 40)), np.tile(one ^ (np.arange(rows) % 29 == 0), (1, 40))
    assert 0 <= flip_test(*many) < 0.01


def test_differences_pair_rows_and_seeds() -> None:
    one = right(0.7)
    other = one | right(0.1, seed=5)  # right wherever the one is
    found = difference(one, other)
    assert found.mean == pytest.approx(float(other.mean() - one.mean()))
    assert found.low is not None
    assert found.low > 0, "what both share cancels"
    assert interval(other).low < interval(one).high  # type: ignore[operator]
    nothing = difference(one, one)
    assert (nothing.mean, nothing.low, nothing.high) == (0, 0, 0)
    assert difference(one, right(0.9, seeds=5)).mean == pytest.approx(float(right(0.9, seeds=5).mean() - one.mean()))


def test_pgr_differs_by_what_the_ratios_do_and_has_no_end_without_a_gap() -> None:
    floor, ceiling = right(0.6, seed=3), right(0.9, seed=4)
    one, other = Three(floor, right(0.65, seed=5), ceiling), Three(floor, right(0.85, seed=6), ceiling)
    found = pgr_difference(one, other)
    assert found is not None
    ratios = [(t.transfer_SN.mean() - floor.mean()) / (ceiling.mean() - floor.mean()) for t in (one, other)]
    assert found.mean == pytest.approx(float(ratios[1] - ratios[0]))
    assert found.low is not None
    assert found.low > 0
    near = Three(floor, one.transfer_SN, floor | (RNG.random(floor.shape) < 0.002))
    apart = pgr_difference(near, other)
    assert apart is None or (apart.low is None and apart.high is None)
    assert pgr_difference(Three(ceiling, floor, floor), other) is None
