"""Scores against formulas worked by hand, and the gap recovered: anchors, exact cases, invariances, coverage."""

# N rows, C classes, S seeds

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s import metrics
from w2s.metrics import Recovered, grade, interval, pgr, recovered

QUICK = {"draws": 200}


def binary(*second: float) -> Any:
    """Probabilities [N, 2] from the second class's."""
    return np.array([[1 - p, p] for p in second])


def truth(*labels: int) -> Any:
    return np.array(labels, dtype=np.int64)


def flags(*rows: str) -> Any:
    """Correctness [S, N] from one text of 0 and 1 a seed."""
    return np.array([[mark == "1" for mark in row] for row in rows])


# --- scores of one labeller ---------------------------------------------------------------------------------------


def test_scores_of_four_rows_are_those_worked_by_hand() -> None:
    found = grade(binary(0.9, 0.6, 0.3, 0.2), truth(1, 0, 1, 0))
    assert found["n"] == 4
    assert found["accuracy"] == 0.5
    assert found["majority"] == 0.5
    assert found["auroc"] == 0.75  # pairs (truth 1, truth 0): .9>.6 .9>.2 .3<.6 .3>.2
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.3) + math.log(0.8)) / 4)
    assert found["brier"] == pytest.approx(2 * (0.1**2 + 0.6**2 + 0.7**2 + 0.2**2) / 4)
    # confidences .9 .6 .7 .8 fall into four bins: right, wrong, wrong, right
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.7 + 0.2) / 4)


def test_rows_of_one_bin_are_averaged_before_the_error_is_taken() -> None:
    # both confidences lie in [9/15, 10/15): accuracy one half, mean confidence .63
    assert metrics.ece(binary(0.62, 0.64), truth(1, 0)) == pytest.approx(0.13)


def test_a_sure_and_right_labeller_is_perfect_and_a_sure_mistake_is_finite() -> None:
    right, wrong = grade(binary(1.0, 0.0), truth(1, 0)), grade(binary(1.0, 0.0), truth(0, 1))
    assert (right["accuracy"], right["auroc"], right["log_loss"], right["brier"], right["ece"]) == (1, 1, 0, 0, 0)
    assert (wrong["accuracy"], wrong["auroc"], wrong["brier"], wrong["ece"]) == (0, 0, 2, 1)
    assert wrong["log_loss"] == pytest.approx(-math.log(1e-12))


def test_auroc_is_none_where_one_class_occurs() -> None:
    assert metrics.auroc(binary(0.1, 0.9), truth(1, 1)) is None


def test_equal_probabilities_choose_the_first_class() -> None:
    assert metrics.accuracy(binary(0.5, 0.5, 0.5), truth(0, 0, 1)) == pytest.approx(2 / 3)


def pair_auroc(positive: list[float], negative: list[float]) -> float:
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(positive, negative)]
    return sum(pairs) / len(pairs)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=30))
def test_binary_auroc_is_the_share_of_pairs_in_order_with_ties_half(rows: list[tuple[int, int]]) -> None:
    scores, labels = [eighths / 8 for eighths, _ in rows], [label for _, label in rows]
    found = metrics.auroc(binary(*scores), truth(*labels))
    if len(set(labels)) == 1:
        assert found is None
        return
    split = [[s for s, label in zip(scores, labels, strict=True) if label == side] for side in (1, 0)]
    assert found == pytest.approx(pair_auroc(*split))


def test_auroc_of_many_classes_is_the_mean_over_the_classes_that_occur() -> None:
    probs_NC = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3]])
    # the third class never occurs; class 0: .6 .5 above .2 .1; class 1: .5 .6 above .3 .4
    assert metrics.auroc(probs_NC, truth(0, 1, 0, 1)) == 1.0
    # class 0: .6 .2 against .5 .1 -> 3 of 4 pairs; class 1: .4 .6 against .3 .5 -> 3 of 4
    assert metrics.auroc(probs_NC, truth(0, 0, 1, 1)) == 0.75


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_the_order_of_rows_changes_no_score(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    probs_NC, other_NC = generator.dirichlet(np.ones(classes), size=(2, 25))
    truth_N, order = generator.integers(0, classes, size=25), generator.permutation(25)
    there, back = grade(probs_NC, truth_N, other_NC), grade(probs_NC[order], truth_N[order], other_NC[order])
    assert there == {name: value if value is None else pytest.approx(value, abs=1e-12) for name, value in back.items()}


@pytest.mark.parametrize(
    "probs_NC, truth_N, says",
    [
        (binary(0.5, np.nan), truth(0, 1), "NaN"),
        (binary(0.5, np.inf), truth(0, 1), "NaN or infinity"),
        (binary(0.5, 1.2), truth(0, 1), "range"),
        (binary(0.5), truth(0, 1), "rows"),
        (np.array([0.5, 0.5]), truth(0, 1), "rows"),
        (np.ones((2, 1)), truth(0, 0), "rows"),
        (np.empty((0, 2)), truth(), "rows"),
        (binary(0.5, 0.5), np.array([[0], [1]]), "rows"),
        (binary(0.5, 0.5), truth(0, 2), "from 0 to 1"),
        (binary(0.5, 0.5), truth(-1, 0), "from 0 to 1"),
        (binary(0.5, 0.5), np.array([0.0, 1.0]), "whole"),
    ],
)
def test_odd_input_is_refused(probs_NC: Any, truth_N: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        grade(probs_NC, truth_N)


# --- student and supervisor ---------------------------------------------------------------------------------------


def test_agreement_is_split_by_whether_the_supervisor_is_right() -> None:
    found = metrics.agreement(binary(0.9, 0.9, 0.1, 0.1, 0.8), binary(0.8, 0.2, 0.2, 0.4, 0.3), truth(1, 0, 1, 0, 1))
    assert found["agreement"] == pytest.approx(3 / 5)
    assert found["agreement_where_right"] == pytest.approx(2 / 3)  # rows 0 1 3; they differ on 1
    assert found["agreement_where_wrong"] == pytest.approx(1 / 2)  # rows 2 4; they differ on 4
    assert found["right_where_apart"] == pytest.approx(1 / 2)  # of rows 1 and 4 the student has 4
    assert found["misfit"] == pytest.approx((0.1**2 + 0.7**2 + 0.1**2 + 0.3**2 + 0.5**2) / 5)


def test_a_student_that_is_its_supervisor_has_no_misfit_and_nothing_apart() -> None:
    same = binary(0.7, 0.2)
    found = metrics.agreement(same, same, truth(1, 0))
    assert (found["agreement"], found["misfit"]) == (1.0, 0.0)
    assert found["agreement_where_wrong"] is None
    assert found["right_where_apart"] is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=40))
def test_the_gain_is_what_the_student_wins_where_the_two_differ(rows: list[tuple[int, int, int]]) -> None:
    """accuracy(student) - accuracy(supervisor) = disagreement * (2 rho - 1), exactly, in a binary task."""
    student, supervisor = (binary(*(row[i] / 9 for row in rows)) for i in (0, 1))
    labels = truth(*(row[2] for row in rows))
    found = metrics.agreement(student, supervisor, labels)
    rho, apart = found["right_where_apart"], 1 - (found["agreement"] or 0.0)
    gain = metrics.accuracy(student, labels) - metrics.accuracy(supervisor, labels)
    assert gain == pytest.approx(0.0 if rho is None else apart * (2 * rho - 1))


@pytest.mark.parametrize("supervisor_NC", [np.full((2, 3), 1 / 3), binary(0.5), binary(0.5, np.nan)])
def test_a_supervisor_of_another_shape_is_refused(supervisor_NC: Any) -> None:
    with pytest.raises(ValueError):
        grade(binary(0.5, 0.6), truth(0, 1), supervisor_NC)


# --- PGR as a number ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transfer, ceiling, low, high",
    [
        (60.7, 63.7, 0.577, 0.578),  # AlexNet -> DINO ResNet-50
        (64.2, 74.9, 0.415, 0.4155),  # AlexNet -> DINO ViT-B/8
    ],
)
def test_pgr_reproduces_the_imagenet_table(transfer: float, ceiling: float, low: float, high: float) -> None:
    """Burns et al. 2023, Table 3: top-1 of AlexNet is 56.6, PGR is printed as 57.8 and 41.5 percent."""
    assert low <= pgr(56.6, transfer, ceiling) <= high


def test_pgr_of_ends_and_outside() -> None:
    assert (pgr(0.5, 0.5, 0.75), pgr(0.5, 0.75, 0.75), pgr(0.5, 0.625, 0.75)) == (0.0, 1.0, 0.5)
    assert (pgr(0.5, 0.25, 0.75), pgr(0.5, 1.0, 0.75)) == (-1.0, 2.0)


def test_pgr_without_a_gap_is_nan() -> None:
    assert math.isnan(pgr(0.6, 0.7, 0.6))


# --- PGR with its interval ----------------------------------------------------------------------------------------


def drawn(seed: int, seeds: int = 3, rows: int = 60, rates: tuple[float, ...] = (0.5, 0.7, 0.9)) -> list[Any]:
    """Correctness [S, N] of floor, transfer and ceiling, answer by answer at these rates."""
    generator = np.random.default_rng(seed)
    return [generator.random((seeds, rows)) < rate for rate in rates]


def test_two_seeds_worked_by_hand() -> None:
    found = recovered(
        flags("1100000000", "1110000000"), flags("1111000000", "1111100000"), flags("1111111110", "1111111100"), **QUICK
    )
    assert (found.floor.mean, found.transfer.mean, found.ceiling.mean) == (0.25, 0.45, 0.85)
    assert (found.gain.mean, found.gap.mean) == (pytest.approx(0.2), pytest.approx(0.6))
    assert found.pgr is not None
    assert found.pgr.mean == pytest.approx(4 / 12)  # of the sums over seeds; the mean of ratios would be .3428
    assert found.per_seed == (pytest.approx(2 / 7), pytest.approx(2 / 5))
    assert (found.n_seeds, found.n_rows, found.verdict) == (2, 10, "")


def test_the_standard_error_of_one_seed_is_the_paired_one() -> None:
    """With one seed the bootstrap of rows has a closed form: sd of the paired difference over sqrt(N)."""
    floor, transfer, ceiling = drawn(0, seeds=1, rows=400)
    paired = ceiling.astype(float) - floor.astype(float)
    found = recovered(floor, transfer, ceiling, draws=4000)
    assert found.gap_se == pytest.approx(
        paired.std() / math.sqrt(400), rel=0.05
    )  # sd of 4000 draws: to 1.1%, here 4.5 of it
    assert found.per_seed == (found.pgr and found.pgr.mean,)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(5, 40))
def test_a_student_that_is_its_supervisor_recovers_exactly_nothing(seed: int, seeds: int, rows: int) -> None:
    floor, _, ceiling = drawn(seed, seeds, rows)
    found = recovered(floor, floor, ceiling, **QUICK)
    assert (found.gain.mean, found.gain.low, found.gain.high) == (0, 0, 0)
    if found.pgr is not None:
        assert (found.pgr.mean, found.pgr.low, found.pgr.high) == (0, 0, 0)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(5, 40))
def test_a_student_that_is_the_ceiling_recovers_exactly_everything(seed: int, seeds: int, rows: int) -> None:
    floor, _, ceiling = drawn(seed, seeds, rows)
    found = recovered(floor, ceiling, ceiling, **QUICK)
    assert found.gain == found.gap
    if found.pgr is not None:
        assert (found.pgr.mean, found.pgr.low, found.pgr.high) == (1, 1, 1)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing_at_all(seed: int) -> None:
    parts = drawn(seed)
    order = np.random.default_rng(seed).permutation(60)
    assert recovered(*parts, **QUICK) == recovered(*(part[:, order] for part in parts), **QUICK)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_seeds_changes_no_mean(seed: int) -> None:
    parts = drawn(seed)
    there, back = recovered(*parts, **QUICK), recovered(*(part[::-1] for part in parts), **QUICK)
    for side in ("floor", "transfer", "ceiling", "gain", "gap"):
        assert getattr(there, side).mean == getattr(back, side).mean
    assert there.per_seed == back.per_seed[::-1]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_an_interval_lies_around_its_mean(seed: int) -> None:
    found = recovered(*drawn(seed), **QUICK)
    for side in (found.floor, found.transfer, found.ceiling, found.gain, found.gap):
        assert side.low is not None
        assert side.high is not None
        assert side.low <= side.mean <= side.high


def test_a_wider_level_gives_a_wider_interval() -> None:
    narrow, wide = (recovered(*drawn(3), level=level).pgr for level in (0.5, 0.95))
    assert narrow is not None
    assert wide is not None
    assert (wide.low or 0) < (narrow.low or 0) < (narrow.high or 0) < (wide.high or 0)


def test_the_same_input_gives_the_same_interval_and_another_seed_another() -> None:
    parts = drawn(4)
    assert recovered(*parts) == recovered(*parts)
    assert recovered(*parts) != recovered(*parts, seed=1)


def test_pairing_makes_the_gain_surer_than_its_two_ends() -> None:
    """A student that answers as its supervisor but for ten more rows: what both find hard cancels."""
    floor = drawn(5, seeds=1, rows=200, rates=(0.5,))[0]
    transfer = floor.copy()
    transfer[0, np.flatnonzero(~floor[0])[:10]] = True
    found = recovered(floor, transfer, np.ones_like(floor), draws=1000)
    assert width(found.gain) < width(found.floor) / 2


def width(value: metrics.Interval) -> float:
    return (math.inf if value.high is None else value.high) - (-math.inf if value.low is None else value.low)


@pytest.mark.parametrize("rates", [(0.7, 0.7, 0.7), (0.9, 0.8, 0.6)])
def test_without_a_gap_there_is_no_pgr_and_the_verdict_says_so(rates: tuple[float, ...]) -> None:
    found = recovered(*drawn(6, rates=rates), **QUICK)
    assert found.pgr is None
    assert found.verdict == "no gap to recover"
    assert found.gap.mean < 2 * found.gap_se


def test_three_equal_labellers_have_no_gap() -> None:
    part = drawn(7)[0]
    found = recovered(part, part, part, **QUICK)
    assert (found.pgr, found.gap.mean, found.gap_se, found.per_seed) == (None, 0, 0, (None,) * 3)


def test_an_interval_that_reaches_draws_without_a_gap_is_unbounded_there() -> None:
    """The gap is six rows of twenty: a draw misses them all with probability .7^20 = .0008, between the two levels."""
    floor, ceiling = flags("0" * 6 + "1" * 14), flags("1" * 20)
    transfer = flags("0" * 6 + "1" * 13 + "0")
    found = recovered(floor, transfer, ceiling, level=0.9998, draws=20_000)
    assert found.pgr is not None
    assert found.pgr.low is None
    assert found.pgr.high is not None
    bounded = recovered(floor, transfer, ceiling, level=0.95, draws=20_000)
    assert bounded.pgr is not None
    assert bounded.pgr.low is not None


def test_the_student_above_such_a_gap_is_unbounded_above() -> None:
    floor, ceiling = flags("0" * 6 + "1" * 13 + "0"), flags("1" * 19 + "0")
    found = recovered(floor, flags("1" * 20), ceiling, level=0.9998, draws=20_000)
    assert found.pgr is not None
    assert found.pgr.low is not None
    assert found.pgr.high is None


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """150 simulated experiments, 4 seeds that differ, rows that differ in difficulty, answers that share their luck.

    The true PGR is 0.5. Were coverage 0.95, fewer than 0.90 of 150 would have probability 0.005; the pigeonhole
    bootstrap errs wide, so no upper bound is asked for, but the width must be of use.
    """
    generator = np.random.default_rng(0)
    found = [simulated(generator) for _ in range(150)]
    inside = [f.pgr is not None and contains(f.pgr, 0.5) for f in found]
    assert np.mean(inside) >= 0.90
    assert np.median([width(f.pgr) for f in found if f.pgr is not None]) < 0.7


def contains(value: metrics.Interval, number: float) -> bool:
    return (value.low is None or value.low <= number) and (value.high is None or number <= value.high)


def simulated(generator: np.random.Generator, seeds: int = 4, rows: int = 300) -> Recovered:
    difficulty_N, shared_SN = generator.normal(0, 0.15, rows), generator.random((seeds, rows))
    parts = []
    for rate in (0.55, 0.65, 0.75):
        own_SN = np.where(generator.random((seeds, rows)) < 0.5, shared_SN, generator.random((seeds, rows)))
        parts.append(own_SN < rate + difficulty_N + generator.normal(0, 0.02, (seeds, 1)))
    return recovered(*parts, draws=400)


def test_many_rows_take_little_memory_and_give_the_exact_mean() -> None:
    floor, transfer, ceiling = drawn(8, seeds=1, rows=400_000)
    found = recovered(floor, transfer, ceiling)
    assert found.floor.mean == floor.mean()
    assert width(found.gap) == pytest.approx(2 * 1.96 * found.gap_se, rel=0.1)


def test_one_labeller_alone_has_an_interval_too() -> None:
    part = drawn(9, rows=300)[0]
    found = interval(part)
    assert found.mean == part.mean()
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high


@pytest.mark.parametrize(
    "shapes",
    [((2, 5), (2, 5), (2, 4)), ((2, 5), (3, 5), (2, 5)), ((5,), (5,), (5,)), ((0, 5),) * 3, ((2, 0),) * 3],
)
def test_unequal_seeds_or_rows_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        recovered(*(np.zeros(shape, dtype=np.bool_) for shape in shapes))


@pytest.mark.parametrize("choices", [{"level": 1.0}, {"level": 0.0}, {"draws": 1}])
def test_settings_out_of_range_are_refused(choices: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="level"):
        recovered(*drawn(0), **choices)


def test_probabilities_are_not_correctness() -> None:
    floor, transfer, _ = drawn(0)
    with pytest.raises(ValueError, match="true or false"):
        recovered(floor, transfer, np.full(floor.shape, 0.5))
