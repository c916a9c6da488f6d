"""The paired two-way bootstrap: what is known of a mean over seeds and test rows, and of ratios of such means."""

# N rows, S seeds, D bootstrap draws, K parts compared, P distinct patterns of rows, X all seeds of all parts

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVEL, DRAWS = 0.95, 2000
COUNTS_AT_ONCE = 2**22  # bootstrap counts held in memory at a time: 32 MiB


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and rows, and the percentile interval around it; an end is None where it is unbounded."""

    mean: float
    low: float | None
    high: float | None


def to_json(value: Interval | None) -> dict[str, Any] | None:
    """An interval as plain JSON."""
    return None if value is None else {"mean": value.mean, "low": value.low, "high": value.high}


def interval(correct_SN: Flags, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The mean of one labeller's correctness over seeds and rows; bootstrap and errors are those of `recovered`."""
    (right_SN,) = flags(correct_SN)
    (total_D,) = resampled([right_SN], level=level, draws=draws, seed=seed)
    return percentile(float(right_SN.sum()) / right_SN.size, total_D / right_SN.size, level)


@dataclass(frozen=True)
class Sums:
    """Numbers [S, N] by name, resampled together: sums as found, and in each of D draws."""

    found: dict[str, float]
    drawn: dict[str, Floats]
    size: int  # S * N
    level: float

    def mean(self, name: str) -> Interval:
        """The mean over seeds and rows."""
        return percentile(self.found[name] / self.size, self.drawn[name] / self.size, self.level)

    def ratio(self, above: str, below: str) -> Interval | None:
        """Sum over sum, such as a share among some rows. None where there is nothing below; draws without it are left out."""
        if self.found[below] == 0:
            return None
        there_D = self.drawn[below] != 0
        ratio_D = self.drawn[above][there_D] / self.drawn[below][there_D]
        return percentile(self.found[above] / self.found[below], ratio_D, self.level)


def sums(values: dict[str, Floats], *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Sums:
    """Resample numbers [S, N] by name under the same rows and seeds, so that what they have in common cancels.

    Row n is the same example everywhere. Raises ValueError for shapes that do not match, NaN, infinity and settings out of
    range.
    """
    parts = {name: np.asarray(part, dtype=np.float64) for name, part in values.items()}
    _check_shapes(list(parts.values()))
    if not all(np.isfinite(part).all() for part in parts.values()):
        raise ValueError("values hold NaN or infinity")
    drawn = resampled(list(parts.values()), level=level, draws=draws, seed=seed)
    found = {name: math.fsum(part.ravel()) for name, part in parts.items()}
    return Sums(found, dict(zip(parts, drawn, strict=True)), next(iter(parts.values())).size, level)


def flags(*parts: Flags, seeds_differ: bool = False) -> list[Flags]:
    """Correctness [S, N] of K labellers, checked. Raises ValueError for other shapes and values other than 0 and 1."""
    _check_shapes(parts, seeds_differ=seeds_differ)
    arrays = [np.asarray(part) for part in parts]
    if not all(np.isin(part, (0, 1)).all() for part in arrays):
        raise ValueError("correctness must be true or false")
    return [part.astype(np.bool_) for part in arrays]


def _check_shapes(parts: Sequence[NDArray[Any]], *, seeds_differ: bool = False) -> None:
    shapes = [np.shape(part) for part in parts]
    if (
        any(len(shape) != 2 or 0 in shape for shape in shapes)
        or len({s[1:] if seeds_differ else s for s in shapes}) != 1
    ):
        raise ValueError(f"correctness needs one shape [seeds, rows] throughout, found {shapes}")


def resampled(parts: Sequence[NDArray[Any]], *, level: float, draws: int, seed: int) -> Floats:
    """Sums [K, D] of K arrays [S, N] under resampled rows and seeds; the same rows for all, the same seeds for those of one S.

    A draw is how often each row and seed was taken. Rows with the same values everywhere are interchangeable, so their
    number is drawn at once: 400,000 rows of right and wrong of one seed are at most 8 patterns. Right answers are whole
    numbers below 2^53: sums are exact in any order, and equal labellers stay exactly equal.
    """
    if not 0 < level < 1 or draws < 2:
        raise ValueError(f"level {level} must lie between 0 and 1, and draws {draws} must be at least 2")
    generator = np.random.default_rng(seed)
    n_rows = parts[0].shape[1]
    patterns_XP, count_P = _patterns(np.concatenate(parts))
    parts_SP = np.split(patterns_XP, np.cumsum([len(part) for part in parts])[:-1])
    totals_KD = np.empty((len(parts), draws))
    at_once = max(1, COUNTS_AT_ONCE // len(count_P))
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        rows_DP = _counts(generator, n_rows, count_P, size)
        counts = dict.fromkeys(len(part) for part in parts)
        seeds_DS = {n: generator.multinomial(n, np.full(n, 1 / n), size=size) for n in counts}
        for k, part_SP in enumerate(parts_SP):
            totals_KD[k, start : start + size] = ((part_SP @ rows_DP.T) * seeds_DS[len(part_SP)].T).sum(axis=0)
    return totals_KD


def _patterns(values_XN: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
    """Distinct rows [X, P] and how many there are of each [P]: in an order that does not depend on that of the rows."""
    if values_XN.dtype == np.bool_:
        patterns_PX, count_P = np.unique(values_XN.T, axis=0, return_counts=True)
        return patterns_PX.T.astype(np.float64), count_P
    # numbers seldom repeat: nothing is won by counting them
    return values_XN[:, np.lexsort(values_XN)].astype(np.float64), np.ones(values_XN.shape[1], dtype=np.int64)


def _counts(generator: np.random.Generator, n_rows: int, count_P: NDArray[np.int64], draws: int) -> Floats:
    """How often each pattern is taken in each draw [D, P]."""
    if len(count_P) < n_rows:
        return generator.multinomial(n_rows, count_P / n_rows, size=draws).astype(np.float64)
    # as many binomial draws as rows are slower than as many rows
    taken = [np.bincount(generator.integers(0, n_rows, n_rows), minlength=n_rows) for _ in range(draws)]
    return np.stack(taken).astype(np.float64)


def percentile(mean: float, draws_D: Floats, level: float) -> Interval:
    """The interval that holds the middle `level` of the draws."""
    # order statistics, not interpolation: between a number and infinity lies no number
    low, high = np.quantile(draws_D, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Interval(mean, *(float(end) if math.isfinite(end) else None for end in (low, high)))
