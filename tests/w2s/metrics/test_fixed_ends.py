"""PGR against published tables, and against a floor and a ceiling that are fixed."""

# N rows, S seeds

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from w2s.metrics import Fixed, gap_error, pgr, recovered

QUICK = {"draws": 300}

# accuracies of weak and ceiling; then by method accuracy and printed PGR in percent (debate paper, tables 2, 4 and 5)
DEBATE: dict[str, tuple[float, float, list[tuple[float, float]]]] = {
    "sciq": (90.0, 93.4, [(91.5, 44.1), (91.4, 41.2), (91.6, 47.1), (92.6, 76.5), (91.7, 50.0), (91.8, 52.9)]),
    "boolq": (
        86.0,
        89.9,
        [(88.0, 51.3), (88.2, 56.4), (88.1, 53.8), (88.7, 69.2), (87.8, 46.2), (87.6, 41.0), (88.3, 59.0)],
    ),
    "cosmos_qa": (
        87.5,
        89.8,
        [(88.2, 30.4), (87.9, 17.4), (88.1, 26.1), (88.8, 56.5), (88.3, 34.8), (88.4, 39.1)],
    ),
    "anthropic_hh": (48.8, 50.8, [(49.5, 35.0), (49.2, 20.0), (50.2, 70.0), (49.3, 25.0), (49.7, 45.0)]),
}


@pytest.mark.parametrize("task", DEBATE)
def test_the_debate_papers_pgr_column_follows_from_its_accuracies(task: str) -> None:
    floor, ceiling, methods = DEBATE[task]
    for transfer, printed in methods:
        assert round(100 * pgr(floor, transfer, ceiling), 1) == printed


def right(*accuracies: float, rows: int = 1000) -> Any:
    """Correctness [S, N] with these accuracies exactly."""
    return np.array([[n < round(accuracy * rows) for n in range(rows)] for accuracy in accuracies])


@pytest.mark.parametrize("transfer, printed", [(0.570, 0.204), (0.576, 0.234), (0.520, -0.038), (0.533, 0.027)])
def test_the_sandbox_table_follows_from_its_fixed_floor_and_ceiling(transfer: float, printed: float) -> None:
    """Floor .528 (sd .012) and ceiling .7325 (sd .008) over 16 seeds; the accuracies are rounded to .0005, so PGR to .005."""
    found = recovered(
        None,
        right(transfer),
        None,
        fixed_floor=Fixed(0.528, 0.012, 16),
        fixed_ceiling=Fixed(0.7325, 0.008, 16),
        **QUICK,
    )
    assert found.pgr is not None
    assert found.pgr.mean == pytest.approx(printed, abs=0.005)


def test_one_denominator_serves_every_seed() -> None:
    """.204 +- .091 over five seeds whose accuracies have sd .019: the spread of PGR is theirs over the gap."""
    accuracies = [0.546, 0.558, 0.570, 0.582, 0.594]
    found = recovered(
        None,
        right(*accuracies),
        None,
        fixed_floor=Fixed(0.528, 0.012, 16),
        fixed_ceiling=Fixed(0.7325, 0.008, 16),
        **QUICK,
    )
    assert found.per_seed == tuple(pytest.approx((a - 0.528) / 0.2045) for a in accuracies)
    assert found.spread == pytest.approx(np.std(accuracies, ddof=1) / 0.2045)
    assert found.spread == pytest.approx(0.091, abs=0.004)
    assert found.pgr is not None
    assert found.pgr.mean == pytest.approx(np.mean([p for p in found.per_seed if p is not None]))
    assert found.gap_se == pytest.approx(math.hypot(0.012, 0.008) / 4)
    assert (found.gap.mean, found.gap.low, found.gap.high) == (pytest.approx(0.2045),) * 3


def test_means_over_the_same_seeds_give_the_same_pgr_with_and_without_fixing() -> None:
    generator = np.random.default_rng(0)
    parts = [generator.random((4, 500)) < rate for rate in (0.5, 0.65, 0.9)]
    floor, ceiling = (Fixed.of(part.mean(axis=1).tolist()) for part in (parts[0], parts[2]))
    own, fixed = (
        recovered(*parts, **QUICK),
        recovered(None, parts[1], None, fixed_floor=floor, fixed_ceiling=ceiling, **QUICK),
    )
    assert own.pgr is not None
    assert fixed.pgr is not None
    assert fixed.pgr.mean == pytest.approx(own.pgr.mean)
    assert fixed.gain.mean == pytest.approx(own.gain.mean)
    assert fixed.per_seed != own.per_seed, "each seed alone had a denominator of its own"


def test_a_fixed_gap_takes_the_luck_of_the_denominator_out() -> None:
    """Seeds whose ceilings and floors jump about: PGR of one seed does, against the means it does not."""
    floors, ceilings = right(0.5, 0.58, 0.5, 0.58), right(0.7, 0.62, 0.78, 0.7)
    transfers = right(0.6, 0.6, 0.6, 0.6)
    own = recovered(floors, transfers, ceilings, **QUICK)
    ends = {"fixed_floor": Fixed(0.54, 0.046, 4), "fixed_ceiling": Fixed(0.70, 0.065, 4)}
    fixed = recovered(None, transfers, None, **ends, **QUICK)
    assert own.spread is not None
    assert own.spread > 0.05
    assert fixed.spread == pytest.approx(0)


def test_one_side_alone_may_be_fixed() -> None:
    floor, transfer = right(0.5, 0.5), right(0.6, 0.6)
    found = recovered(floor, transfer, None, fixed_ceiling=Fixed(0.7, 0.02, 8), **QUICK)
    assert found.pgr is not None
    assert found.pgr.mean == pytest.approx(0.5)
    assert found.floor.low is not None
    assert found.floor.low < 0.5
    assert found.gap_se > 0.02 / math.sqrt(8), "the floor's rows add to the ceiling's spread"


def test_spread_of_few_seeds_can_leave_no_gap() -> None:
    ends = {"fixed_floor": Fixed(0.60, 0.05, 4), "fixed_ceiling": Fixed(0.65, 0.05, 4)}
    found = recovered(None, right(0.62), None, **ends, **QUICK)
    assert (found.pgr, found.verdict) == (None, "no gap to recover")
    better = recovered(None, right(0.62), None, **ends, gap_se=0.01, **QUICK)
    assert better.pgr is not None
    assert better.gap_se == 0.01
    assert recovered(None, right(0.62), None, fixed_floor=Fixed(0.7), fixed_ceiling=Fixed(0.7), **QUICK).pgr is None


def test_a_fixed_number_of_seeds_has_its_t_interval() -> None:
    accuracies = [0.52, 0.55, 0.51, 0.54]
    found = Fixed.of(accuracies)
    low, high = stats.t.interval(0.95, 3, np.mean(accuracies), stats.sem(accuracies))
    assert found.interval(0.95).low == pytest.approx(low)
    assert found.interval(0.95).high == pytest.approx(high)
    assert (found.n_seeds, found.se) == (4, pytest.approx(stats.sem(accuracies)))
    alone = Fixed.of([0.6])
    assert (alone.sd, alone.se, alone.interval().low, alone.interval().high) == (None, 0.0, 0.6, 0.6)
    with pytest.raises(ValueError, match="at least one"):
        Fixed.of([])


def test_a_side_needs_rows_or_a_number() -> None:
    rows, ends = right(0.5), {"fixed_floor": Fixed(0.5), "fixed_ceiling": Fixed(0.7)}
    with pytest.raises(ValueError, match="floor needs"):
        recovered(rows, rows, None, **ends)
    with pytest.raises(ValueError, match="ceiling needs"):
        recovered(rows, rows, None)


def test_the_error_of_a_gap_knows_that_rows_are_shared() -> None:
    """One seed each: sd of the paired difference over sqrt(N), less than two independent errors."""
    generator = np.random.default_rng(5)
    hard = generator.random((1, 600))
    floor, ceiling = hard < 0.5, hard < 0.7
    paired = (ceiling.astype(float) - floor.astype(float)).std() / math.sqrt(600)
    assert gap_error(floor, ceiling) == pytest.approx(paired, rel=0.06)
    assert gap_error(floor, np.concatenate([ceiling, ceiling])) == pytest.approx(
        paired, rel=0.06
    )  # seeds may differ in number
    alone = math.hypot(floor.std(), ceiling.std()) / math.sqrt(600)
    assert gap_error(floor, ceiling) < 0.8 * alone
