"""Two labellers graded on the same rows: the difference of their accuracies with its interval, and whether it is more than luck."""

# N rows, S seeds, D bootstrap draws

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from w2s.metrics.recovery import pgr
from w2s.metrics.resample import DRAWS, LEVEL, Flags, Floats, Interval, flags, percentile, resampled

EXACT = 20_000  # the largest sum whose distribution is worked out in full; beyond it a normal one serves


def difference(one_SN: Flags, other_SN: Flags, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean(other) - mean(one), row n being the same example in both: the same rows are drawn for both.

    With as many seeds in both, seed s of one is matched with seed s of the other and the same seeds are drawn; else each has its
    seeds drawn by itself. Raises ValueError as `recovered`.
    """
    parts = flags(one_SN, other_SN, seeds_differ=True)
    one_D, other_D = resampled(parts, level=level, draws=draws, seed=seed)
    found = float(parts[1].mean() - parts[0].mean())
    return percentile(found, other_D / parts[1].size - one_D / parts[0].size, level)


def flip_test(one_SN: Flags, other_SN: Flags) -> float:
    """The p value, two-sided, that the two are equally good on rows like these, their seeds matched and taken as they are.

    A permutation test: were they equally good, then on each row (all seeds together) they might as well be exchanged. The sum
    of the differences is held against its distribution over all 2^N exchanges, worked out exactly (from a normal one for very
    many rows). With one seed this is McNemar's exact test (McNemar 1947). Raises ValueError for shapes that do not match.
    """
    one_SN, other_SN = flags(one_SN, other_SN)
    signed_N = (other_SN.astype(np.int64) - one_SN.astype(np.int64)).sum(axis=0)
    sizes = {
        int(size): int(count)
        for size, count in zip(*np.unique(np.abs(signed_N), return_counts=True), strict=True)
        if size
    }
    total = abs(int(signed_N.sum()))
    if not sizes:
        return 1.0
    if sum(size * count for size, count in sizes.items()) > EXACT:
        spread = math.sqrt(sum(size**2 * count for size, count in sizes.items()))
        return math.erfc(max(0.0, total - 0.5) / spread / math.sqrt(2))
    probabilities = _distribution(sizes)
    middle = len(probabilities) // 2
    reached = [mass for place, mass in enumerate(probabilities) if abs(place - middle) >= total]
    return min(1.0, math.fsum(reached))


def _distribution(sizes: dict[int, int]) -> Floats:
    """Probabilities of each sum of +-size over `count` rows of each size, from the least to the greatest."""
    found = np.ones(1)
    for size, count in sizes.items():
        heads = np.arange(count + 1)
        logs = math.lgamma(count + 1) - np.array([math.lgamma(k + 1) + math.lgamma(count - k + 1) for k in heads])
        steps = np.zeros(2 * size * count + 1)
        steps[2 * size * heads] = np.exp(logs - count * math.log(2))
        found = np.convolve(found, steps)
    return found


@dataclass(frozen=True)
class Three:
    """Who got which row right [S, N]: supervisor, student, ceiling."""

    floor_SN: Flags
    transfer_SN: Flags
    ceiling_SN: Flags


def pgr_difference(
    one: Three, other: Three, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval | None:
    """PGR(other) - PGR(one), all six drawn together; None where either has no ratio. Whether there is a gap is `recovered`'s to say.

    A draw in which either has no positive gap could be anything: it counts as unbounded on both sides.
    """
    parts = flags(
        one.floor_SN, one.transfer_SN, one.ceiling_SN, other.floor_SN, other.transfer_SN, other.ceiling_SN, seeds_differ=True
    )  # fmt: skip
    means = [float(part.mean()) for part in parts]
    if means[2] <= means[0] or means[5] <= means[3]:
        return None
    drawn = resampled(parts, level=level, draws=draws, seed=seed)
    floor_D, transfer_D, ceiling_D, floor2_D, transfer2_D, ceiling2_D = (
        total_D / part.size for total_D, part in zip(drawn, parts, strict=True)
    )
    has_gap_D = (ceiling_D > floor_D) & (ceiling2_D > floor2_D)
    one_D = _ratio(floor_D, transfer_D, ceiling_D, has_gap_D)
    other_D = _ratio(floor2_D, transfer2_D, ceiling2_D, has_gap_D)
    found = pgr(*means[3:]) - pgr(*means[:3])
    low = percentile(found, np.where(has_gap_D, other_D - one_D, -np.inf), level).low
    high = percentile(found, np.where(has_gap_D, other_D - one_D, np.inf), level).high
    return Interval(found, low, high)


def _ratio(floor_D: Floats, transfer_D: Floats, ceiling_D: Floats, has_gap_D: Flags) -> Floats:
    ratio_D: Floats = (transfer_D - floor_D) / np.where(has_gap_D, ceiling_D - floor_D, 1.0)
    return ratio_D
