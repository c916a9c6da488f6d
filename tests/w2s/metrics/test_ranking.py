"""Ranks of many labellers: Holm by hand and as a closed test, the crossed test by another formula, few false winners."""

# K labellers, S seeds, N rows

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp

from w2s.metrics.crossed import pair_tests
from w2s.metrics.paired import difference, flip_test
from w2s.metrics.ranking import Ranked, holm, rank
from w2s.metrics.resample import interval

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def right(shares: list[float], seeds: int = 3, rows: int = 200, seed: int = 1) -> Any:
    """Correctness [K, S, N], each labeller right on its share of all answers."""
    draws = np.random.default_rng(seed).random((len(shares), seeds, rows))
    return draws < np.array(shares)[:, None, None]


# --- Holm ---------------------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    """.01 x 4; .03 x 3 and .02 x 2 below it: none may come before a smaller one; .8 x 1."""
    assert holm([0.03, 0.8, 0.01, 0.04]) == pytest.approx([0.09, 0.8, 0.04, 0.09])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([]).tolist() == []


@given(P_VALUES)
def test_holm_is_the_closed_test_of_all_subsets(p_values: list[float]) -> None:
    """What Holm's method is short for: the largest Bonferroni p of all subsets that hold the comparison."""
    few = p_values[:7]
    places = range(len(few))
    subsets = [subset for size in range(1, len(few) + 1) for subset in combinations(places, size)]
    expected = [max(min(1.0, len(s) * min(few[i] for i in s)) for s in subsets if place in s) for place in places]
    assert holm(few) == pytest.approx(expected)


@given(P_VALUES, st.randoms())
def test_holm_does_not_care_for_order(p_values: list[float], shuffle: Any) -> None:
    order = list(range(len(p_values)))
    shuffle.shuffle(order)
    assert holm([p_values[i] for i in order]).tolist() == [holm(p_values)[i] for i in order]
    assert all(corrected >= p for corrected, p in zip(holm(p_values), p_values, strict=True))


@pytest.mark.parametrize("bad", [[-0.1], [1.1], [float("nan")], [[0.1, 0.2]]])
def test_what_is_no_p_value_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(bad)


# --- the crossed test -----------------------------------------------------------------------------------------------


def test_of_two_it_is_clarks_quasi_f() -> None:
    """Worked out again from means, as an analysis of variance does it: (MS_seeds + MS_rows - MS_rest) / (S N)."""
    one, other = right([0.7, 0.8], seeds=4, rows=60)
    apart = other.astype(float) - one.astype(float)
    mean, seeds, rows = apart.mean(), apart.mean(axis=1), apart.mean(axis=0)
    ms_seeds, ms_rows = 60 * seeds.var(ddof=1), 4 * rows.var(ddof=1)
    rest = ((apart - seeds[:, None] - rows[None] + mean) ** 2).sum() / (3 * 59)
    square = max(ms_seeds + ms_rows - rest, ms_seeds, ms_rows)
    freedom = square**2 / (ms_seeds**2 / 3 + ms_rows**2 / 59 + rest**2 / (3 * 59))
    expected = 2 * student_t.sf(abs(mean) / np.sqrt(square / (4 * 60)), freedom)
    assert pair_tests(np.stack([one, other]))[0, 1] == pytest.approx(expected)


def test_where_seeds_alone_differ_it_is_a_t_test_over_seeds() -> None:
    """Each seed gives all rows the same difference but for a few that it cannot help: rows add nothing."""
    one, other = np.zeros((5, 4000), dtype=bool), np.zeros((5, 4000), dtype=bool)
    for seed, right_count in enumerate((400, 900, 700, 200, 600)):
        other[seed, np.random.default_rng(seed).permutation(4000)[:right_count]] = True
    p = pair_tests(np.stack([one, other]))[0, 1]
    assert p == pytest.approx(ttest_1samp(other.mean(axis=1), 0).pvalue, rel=0.1)
    assert flip_test(one, other) < 1e-100, "which takes these models as they are"


def test_luck_is_pooled_over_all_pairs() -> None:
    """Two that happen to differ by the same on every seed are not sure of it where all others vary from seed to seed."""
    steady = right([0.70, 0.76], seeds=3, rows=400)
    wild = np.stack([right([share], seeds=1, rows=400, seed=s)[0] for s, share in enumerate((0.5, 0.7, 0.9))], axis=1)
    alone = pair_tests(steady)[0, 1]
    assert pair_tests(np.concatenate([steady, wild]))[0, 1] > 2 * alone


def test_twins_have_little_luck_to_differ_by() -> None:
    """Two that answer alike are held against the little that they differ, not against how far others part (that gives .45)."""
    base = right([0.7], seeds=4, rows=800)[0]
    twin = base.copy()
    twin[:, :60] = True
    wild = np.stack([right([share], seeds=1, rows=800, seed=s)[0, 0] for s, share in enumerate((0.6, 0.7, 0.8, 0.65))])
    assert pair_tests(np.stack([base, twin, wild]))[0, 1] < 0.02


def test_one_seed_is_mcnemar_and_says_no_more() -> None:
    found = right([0.6, 0.7, 0.65], seeds=1)
    p_KK = pair_tests(found)
    assert p_KK[0, 1] == p_KK[1, 0] == flip_test(found[0], found[1])
    assert np.diag(p_KK).tolist() == [1.0] * 3


def test_equal_labellers_are_equal_and_constant_ones_no_error() -> None:
    same = right([0.7], rows=50)[0]
    every, none = np.ones((3, 50), dtype=bool), np.zeros((3, 50), dtype=bool)
    p_KK = pair_tests(np.stack([same, same, every, none]))
    assert p_KK[0, 1] == 1.0
    assert pair_tests(np.stack([every, none]))[0, 1] == 2.0**-49
    assert np.isfinite(p_KK).all()


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[seeds, rows\]"):
        pair_tests(np.zeros(shape, dtype=bool))


# --- ranks ----------------------------------------------------------------------------------------------------------


def test_ranks_intervals_and_differences() -> None:
    found = right([0.6, 0.9, 0.6, 0.75])
    ranked = rank(found, baseline=3)
    assert ranked.best == 1
    assert ranked.comparisons == 6
    totals = found.sum(axis=(1, 2))
    for place, own in zip(ranked.places, totals, strict=True):
        assert place.rank == 1 + sum(other > own for other in totals)
        assert place.low <= place.rank <= place.high
    first = ranked.places[1]
    assert (first.rank, first.low, first.high, first.best) == (1, 1, 1, None)
    assert ranked.places[3].baseline is None
    worst = ranked.places[0]
    assert worst.best is not None
    assert worst.best.difference.mean == pytest.approx(found[0].mean() - found[1].mean())
    assert worst.best.difference.low == pytest.approx(difference(found[1], found[0]).low, abs=0.01)
    assert worst.accuracy.high == pytest.approx(interval(found[0]).high, abs=0.01)
    p_KK = pair_tests(found)
    adjusted = holm([p_KK[i, j] for i, j in combinations(range(4), 2)])
    assert worst.best.p == p_KK[0, 1]
    assert worst.best.adjusted == pytest.approx(adjusted[0])
    assert worst.baseline is not None
    assert worst.baseline.adjusted == pytest.approx(adjusted[2])


def test_equals_share_a_rank_and_neither_is_worse() -> None:
    one = right([0.8])[0]
    ranked = rank([right([0.5])[0], one, one])
    assert [place.rank for place in ranked.places] == [3, 1, 1]
    assert ranked.best == 1
    twin = ranked.places[2]
    assert (twin.low, twin.high) == (1, 2)
    assert twin.best is not None
    assert twin.best.adjusted == 1.0
    assert ranked.baseline is None
    assert all(place.baseline is None for place in ranked.places)


def test_order_changes_nothing() -> None:
    """Of rows, seeds (the same for all) and labellers."""
    found = right([0.6, 0.7, 0.72, 0.8])
    rows, seeds = np.random.default_rng(5).permutation(200), [2, 0, 1]
    same = rank(found, 0).places

    def told(places: Any) -> list[Any]:
        return [(place.rank, place.best and (place.best.p, place.best.adjusted)) for place in places]

    assert told(rank(found[:, seeds][:, :, rows], 0).places) == told(same)
    assert told(rank(found[::-1], 3).places[::-1]) == told(same)


def test_a_ranking_needs_two_of_one_shape() -> None:
    with pytest.raises(ValueError, match="at least two"):
        rank(right([0.6]))
    with pytest.raises(ValueError, match="one shape"):
        rank([right([0.6])[0], right([0.6], seeds=2)[0]])


# --- errors and power -------------------------------------------------------------------------------------------------


def made(generator: np.random.Generator, luck_K: list[float], seeds: int, gain: float = 0.0) -> Any:
    """Labellers equally good on average, except that the first has a gain, on 250 rows of their own difficulty.

    On the scale of logits, each is better or worse at some rows (.4), and each of its models at all of them (`luck`).
    """
    count = len(luck_K)
    rows_N = generator.normal(1, 1.5, 250) + generator.normal(0, 0.4, (count, 1, 250))
    models_KS = generator.normal(0, 1, (count, seeds)) * np.array(luck_K)[:, None]
    models_KS[0] += gain
    return generator.random((count, seeds, 250)) < 1 / (1 + np.exp(-(rows_N + models_KS[:, :, None])))


def told_apart(ranked: Ranked) -> bool:
    """Whether anything is called better or worse."""
    apart = [one for place in ranked.places for one in (place.best, place.baseline) if one is not None]
    return any(one.adjusted < 0.05 for one in apart)


@pytest.mark.parametrize(
    "luck, seeds",
    [([0.0] * 6, 5), ([0.2] * 6, 3), ([0.5] * 4, 2), ([0.5, *[0.05] * 5], 5), ([0.0] * 6, 1)],
    ids=["none", "some", "much", "one wild", "one seed"],
)
def test_among_equals_few_tables_tell_any_apart(luck: list[float], seeds: int) -> None:
    """The family-wise error: at most .05, which over 200 tables is seldom more than 18."""
    generator = np.random.default_rng(7)
    tables = [rank(made(generator, luck, seeds), baseline=1, draws=2) for _ in range(200)]
    assert sum(map(told_apart, tables)) <= 18


def test_a_test_that_takes_models_as_they_are_would_find_winners_among_equals() -> None:
    """Why it is not what decides: with the luck that training has, most tables would have one."""
    generator, wrong = np.random.default_rng(7), 0
    for _ in range(60):
        found = made(generator, [0.4] * 6, 3)
        wrong += bool((holm([flip_test(found[i], found[j]) for i, j in combinations(range(6), 2)]) < 0.05).any())
    assert wrong > 40


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_one_that_is_truly_better_is_found(seed: int) -> None:
    found = made(np.random.default_rng(seed), [0.05] * 6, 5, gain=1.6)
    ranked = rank(found, baseline=1, draws=200)
    first = ranked.places[0]
    assert ranked.best == 0
    assert (first.rank, first.low, first.high) == (1, 1, 1)
    assert all(place.best is not None and place.best.adjusted < 0.05 for place in ranked.places[1:])
    assert first.baseline is not None
    assert first.baseline.difference.mean > 0
