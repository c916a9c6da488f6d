"""The performance gap recovered: as a ratio, with its interval, and against a floor and a ceiling that are fixed."""

# N rows, S seeds, D bootstrap draws

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s.metrics.resample import DRAWS, LEVEL, Flags, Floats, Interval, flags, percentile, resampled

GAP_IN_SE = 2.0  # a gap below so many of its standard errors is no gap to recover


def pgr(floor: float, transfer: float, ceiling: float) -> float:
    """Performance gap recovered, (transfer - floor) / (ceiling - floor) (Burns et al. 2023, section 3).

    Any consistent unit. NaN, never ZeroDivisionError, where ceiling and floor are equal; a negative gap gives the plain
    ratio, which means nothing: ask `recovered` whether there is a gap.
    """
    return (transfer - floor) / (ceiling - floor) if ceiling != floor else math.nan


@dataclass(frozen=True)
class Fixed:
    """A floor or ceiling taken as known: the mean over many seeds, and the standard deviation from seed to seed (None: one)."""

    mean: float
    sd: float | None = None
    n_seeds: int = 1

    @classmethod
    def of(cls, accuracies: Sequence[float]) -> Fixed:
        """From the accuracies of its seeds. Raises ValueError where there is none."""
        if not len(accuracies):
            raise ValueError("a fixed floor or ceiling needs at least one seed")
        sd = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
        return cls(math.fsum(accuracies) / len(accuracies), sd, len(accuracies))

    @property
    def se(self) -> float:
        """The standard error of the mean, as far as seeds show it; 0 where the spread is unknown."""
        return 0.0 if self.sd is None else self.sd / math.sqrt(self.n_seeds)

    def interval(self, level: float = LEVEL) -> Interval:
        """Student's t interval of the mean over seeds; the mean itself where the spread is unknown."""
        if self.sd is None or self.n_seeds < 2:
            return Interval(self.mean, self.mean, self.mean)
        from scipy.stats import t

        half = float(t.ppf((1 + level) / 2, self.n_seeds - 1)) * self.se
        return Interval(self.mean, self.mean - half, self.mean + half)


@dataclass(frozen=True)
class Recovered:
    """Three accuracies, the gain over the supervisor, and PGR where there is a gap to recover."""

    floor: Interval
    transfer: Interval
    ceiling: Interval
    gain: Interval  # transfer - floor
    gap: Interval  # ceiling - floor
    gap_se: float
    pgr: Interval | None  # None: no gap to recover
    per_seed: tuple[float | None, ...]  # PGR of each seed alone, for the eye; None without a positive gap
    n_rows: int
    n_seeds: int
    level: float

    @property
    def verdict(self) -> str:
        """Why there is no PGR; empty where there is one."""
        return "" if self.pgr is not None else "no gap to recover"

    @property
    def spread(self) -> float | None:
        """The standard deviation of PGR from seed to seed; None where fewer than two seeds have one."""
        known = [value for value in self.per_seed if value is not None]
        return float(np.std(known, ddof=1)) if len(known) > 1 and len(known) == len(self.per_seed) else None


def recovered(
    floor_SN: Flags | None,
    transfer_SN: Flags,
    ceiling_SN: Flags | None,
    *,
    fixed_floor: Fixed | None = None,
    fixed_ceiling: Fixed | None = None,
    gap_se: float | None = None,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Recovered:
    """PGR from who got which row right, with a paired two-way bootstrap; row n is the same example everywhere.

    Each draw takes rows with replacement and seeds with replacement, the same for all three, so what floor, transfer
    and ceiling have in common cancels. PGR is the ratio of the means over seeds (a mean of ratios would let one small
    gap decide). Where the gap is under twice its bootstrap standard error there is nothing to recover: PGR is None.

    A draw without a positive gap has no meaningful ratio. It counts as unbounded, on the side of its gain's sign, and
    an interval that reaches such draws has None for that end. Two cases stay exact whatever the gap: a draw in which
    the student equals its supervisor counts as 0, one in which it equals the ceiling as 1.

    With one seed, rows alone are resampled: the interval is about these three models. With more, rows and seeds are
    drawn independently (the pigeonhole bootstrap, Owen 2007), which errs wide where the luck of single answers decides,
    and narrow where few seeds differ much: S resampled seeds show (S - 1) / S of their variance.

    `fixed_floor` or `fixed_ceiling` stand where rows are None: numbers from other, more numerous seeds, one denominator
    for every seed here. They are taken as known, so the intervals of gain and PGR are the student's own; their spread
    enters the gap's standard error alone. `gap_se`: a better standard error of the gap than that (`gap_error`).
    Raises ValueError for shapes that do not match, values other than 0 and 1, settings out of range, and a side that has
    both rows and a fixed number, or neither.
    """
    for name, rows, fixed in (("floor", floor_SN, fixed_floor), ("ceiling", ceiling_SN, fixed_ceiling)):
        if (rows is None) == (fixed is None):
            raise ValueError(f"{name} needs its rows or a fixed number, and not both")
    parts = flags(*(part for part in (transfer_SN, floor_SN, ceiling_SN) if part is not None))
    drawn = resampled(parts, level=level, draws=draws, seed=seed)
    n_seeds, n_rows = parts[0].shape
    counted = iter([_counted(part, drawn_D) for part, drawn_D in zip(parts, drawn, strict=True)])
    transfer = next(counted)
    floor, ceiling = (
        next(counted) if fixed is None else _known(fixed, n_seeds, n_rows, draws)
        for fixed in (fixed_floor, fixed_ceiling)
    )
    weight = n_seeds * n_rows
    gain, gain_D = transfer.total - floor.total, transfer.total_D - floor.total_D
    gap, gap_D = ceiling.total - floor.total, ceiling.total_D - floor.total_D
    if gap_se is None:
        spread = [fixed.se for fixed in (fixed_floor, fixed_ceiling) if fixed is not None]
        gap_se = math.hypot(float(np.std(gap_D, ddof=1)) / weight, *spread)
    ratio = pgr(floor.total, transfer.total, ceiling.total)
    has_gap = gap > 0 and gap / weight >= GAP_IN_SE * gap_se
    return Recovered(
        floor=percentile(floor.total / weight, floor.total_D / weight, level)
        if fixed_floor is None
        else fixed_floor.interval(level),
        transfer=percentile(transfer.total / weight, transfer.total_D / weight, level),
        ceiling=percentile(ceiling.total / weight, ceiling.total_D / weight, level)
        if fixed_ceiling is None
        else fixed_ceiling.interval(level),
        gain=percentile(gain / weight, gain_D / weight, level),
        gap=percentile(gap / weight, gap_D / weight, level),
        gap_se=gap_se,
        pgr=percentile(ratio, _ratios(gain_D, gap_D, ratio), level) if has_gap else None,
        per_seed=tuple(map(_one_seed, floor.per_seed, transfer.per_seed, ceiling.per_seed)),
        n_rows=n_rows,
        n_seeds=n_seeds,
        level=level,
    )


def gap_error(floor_SN: Flags, ceiling_SN: Flags, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> float:
    """The standard error of ceiling - floor over rows, which they share, and seeds, of which each may have its own."""
    parts = flags(floor_SN, ceiling_SN, seeds_differ=True)
    floor_D, ceiling_D = resampled(parts, level=level, draws=draws, seed=seed)
    return float(np.std(ceiling_D / parts[1].size - floor_D / parts[0].size, ddof=1))


@dataclass(frozen=True)
class _Side:
    """Right answers over all seeds and rows, in each draw [D], and of each seed [S]."""

    total: float
    total_D: Floats
    per_seed: list[float]


def _counted(correct_SN: Flags, total_D: Floats) -> _Side:
    return _Side(int(correct_SN.sum()), total_D, [int(count) for count in correct_SN.sum(axis=1)])


def _known(fixed: Fixed, n_seeds: int, n_rows: int, draws: int) -> _Side:
    """As if every seed had the fixed number right."""
    total = fixed.mean * n_seeds * n_rows
    return _Side(total, np.full(draws, total), [fixed.mean * n_rows] * n_seeds)


def _ratios(gain_D: Floats, gap_D: Floats, ratio: float) -> Floats:
    """PGR of each draw, as `recovered` describes. Where all three are equal a draw says nothing: it takes `ratio`."""
    positive_D = gap_D > 0
    ratios_D = np.where(positive_D, gain_D / np.where(positive_D, gap_D, 1.0), np.copysign(np.inf, gain_D))
    ratios_D[gain_D == 0] = 0.0
    ratios_D[gain_D == gap_D] = 1.0
    ratios_D[(gain_D == 0) & (gap_D == 0)] = ratio
    return ratios_D


def _one_seed(floor: float, transfer: float, ceiling: float) -> float | None:
    return pgr(floor, transfer, ceiling) if ceiling > floor else None
