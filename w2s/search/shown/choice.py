"""How good the honest choice was, told by the truth afterwards: regret, and rank correlation with its interval."""

# N trials, D bootstrap draws

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2s.search.ending import Ending
from w2s.search.shown.truth import number
from w2s.search.table import Row

DRAWS = 2_000
LEVEL = 0.95
FEWEST = 3
FEWEST_FOR_INTERVAL = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The chosen trial beside the best by test accuracy. `regret_by_lot`: what a trial drawn by lot would lose on average."""

    chosen: Row
    truly_best: Row
    regret: float
    regret_by_lot: float
    correlation: float | None
    interval: tuple[float, float] | None
    count: int


def judge(ending: Ending) -> Choice | None:
    """None before two finished trials have been graded."""
    graded = [row for row in ending.judged if number(row, "test_accuracy") is not None]
    if len(graded) < 2 or ending.best is None or ending.regret is None:
        return None
    truth_N = np.array([number(row, "test_accuracy") for row in graded], dtype=np.float64)
    objective_N = np.array([number(row, "objective") for row in graded], dtype=np.float64)
    best = max(graded, key=lambda row: (number(row, "test_accuracy") or 0.0, -row.number))
    return Choice(
        ending.best, best, ending.regret, float(truth_N.max() - truth_N.mean()), ending.rank_correlation,
        spearman_interval(objective_N, truth_N), len(graded),
    )  # fmt: skip


def spearman_interval(one_N: Floats, other_N: Floats, seed: int = 0) -> tuple[float, float] | None:
    """A percentile bootstrap interval over trials of Spearman's rank correlation, at `LEVEL`.

    None for fewer than five trials, or where one of the two does not vary.
    """
    from scipy.stats import rankdata

    if len(one_N) < FEWEST_FOR_INTERVAL or not np.ptp(one_N) or not np.ptp(other_N):
        return None
    picked_DN = np.random.default_rng(seed).integers(0, len(one_N), size=(DRAWS, len(one_N)))
    ranks = [rankdata(values_N[picked_DN], axis=1) for values_N in (one_N, other_N)]
    first_DN, second_DN = (rank_DN - rank_DN.mean(axis=1, keepdims=True) for rank_DN in ranks)
    scale_D = np.sqrt((first_DN**2).sum(axis=1) * (second_DN**2).sum(axis=1))
    drawn_D = (first_DN * second_DN).sum(axis=1)[scale_D > 0] / scale_D[scale_D > 0]  # a draw of one trial has no ranks
    low, high = np.quantile(drawn_D, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
