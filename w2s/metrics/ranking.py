"""Many labellers on the same rows and seeds: ranks with intervals, and who differs from the best by more than noise."""

# K labellers, S seeds, N rows, D bootstrap draws, C comparisons

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s.metrics.crossed import pair_tests
from w2s.metrics.resample import DRAWS, LEVEL, Flags, Floats, Interval, flags, percentile, resampled


@dataclass(frozen=True)
class Against:
    """A labeller's accuracy less another's, with the p value of their comparison, by itself and corrected for their number."""

    difference: Interval
    p: float
    adjusted: float


@dataclass(frozen=True)
class Place:
    """Where one labeller stands: 1 is the best, equals share a rank. `best` and `baseline` are None for that one itself."""

    rank: int
    low: int  # ends of the rank's interval
    high: int
    accuracy: Interval
    best: Against | None
    baseline: Against | None


@dataclass(frozen=True)
class Ranked:
    """Places in the order in which the labellers were given; `best` and `baseline` are indices among them."""

    places: tuple[Place, ...]
    best: int
    baseline: int | None
    comparisons: int


def holm(p_C: Sequence[float] | Floats) -> Floats:
    """p values corrected for their number, in the order given (Holm 1979).

    Who calls different whatever is below a here, errs anywhere among the C with a probability of at most a, however the
    comparisons hang together. Raises ValueError for what is no p value.
    """
    found_C = np.asarray(p_C, dtype=np.float64)
    if found_C.ndim != 1 or not ((found_C >= 0) & (found_C <= 1)).all():
        raise ValueError(f"p values lie between 0 and 1, found {found_C}")
    order_C = np.argsort(found_C, kind="stable")
    factors_C = np.arange(len(found_C), 0, -1)
    adjusted_C = np.empty_like(found_C)
    adjusted_C[order_C] = np.minimum(1.0, np.maximum.accumulate(found_C[order_C] * factors_C))
    return adjusted_C


def rank(
    correct_KSN: Sequence[Flags],
    baseline: int | None = None,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Ranked:
    """Rank labellers by accuracy; compare each with the best one, and with the `baseline`.

    Seed s and row n are the same for all. The family of comparisons is all K (K - 1) / 2 pairs, although only those with the
    best and the baseline are told: which one is best is known by looking alone, so any pair might have been told, and
    to correct for the told ones alone would err more often than promised. What p says: `crossed.pair_tests`.

    Intervals are of one bootstrap over rows and seeds, drawn together for all: so are the ranks'. A drawn rank counts ties in
    favour at the low end, and against at the high end; intervals of differences are not corrected for their number. Raises
    ValueError for shapes that do not match, fewer than two labellers, values other than 0 and 1, settings out of range.
    """
    parts = flags(*correct_KSN)
    if len(parts) < 2:
        raise ValueError("a ranking needs at least two")
    total_K = np.array([int(part.sum()) for part in parts])
    drawn_KD = resampled(parts, level=level, draws=draws, seed=seed)
    size, best = parts[0].size, int(total_K.argmax())
    p_KK = pair_tests(np.stack(parts))
    adjusted_KK = _adjusted(p_KK)

    def against(one: int, other: int | None) -> Against | None:
        if other is None or one == other:
            return None
        found, drawn_D = float(total_K[one] - total_K[other]) / size, (drawn_KD[one] - drawn_KD[other]) / size
        apart = percentile(found, drawn_D, level)
        return Against(apart, float(p_KK[one, other]), float(adjusted_KK[one, other]))

    low_K, high_K = _ranks(drawn_KD, level)
    places = tuple(
        Place(
            rank=1 + int((total_K > total_K[one]).sum()),
            low=int(low_K[one]),
            high=int(high_K[one]),
            accuracy=percentile(float(total_K[one]) / size, drawn_KD[one] / size, level),
            best=against(one, best),
            baseline=against(one, baseline),
        )
        for one in range(len(parts))
    )
    return Ranked(places, best, baseline, len(parts) * (len(parts) - 1) // 2)


def _adjusted(p_KK: Floats) -> Floats:
    above = np.triu_indices(len(p_KK), 1)
    adjusted_KK = np.ones_like(p_KK)
    adjusted_KK[above] = holm(p_KK[above])
    return np.minimum(adjusted_KK, adjusted_KK.T)


def _ranks(drawn_KD: Floats, level: float) -> tuple[Floats, Floats]:
    """The ends [K] of the interval of each rank over the draws."""
    # order statistics, as everywhere: a rank between two ranks means nothing
    first_KD = np.stack([1 + (drawn_KD > own_D).sum(axis=0) for own_D in drawn_KD])
    last_KD = np.stack([(drawn_KD >= own_D).sum(axis=0) for own_D in drawn_KD])
    low_K = np.quantile(first_KD, (1 - level) / 2, axis=1, method="inverted_cdf")
    high_K = np.quantile(last_KD, (1 + level) / 2, axis=1, method="inverted_cdf")
    return low_K, high_K
