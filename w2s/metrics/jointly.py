"""Means over seeds and rows of many quantities, drawn together: rows by id, in pools that not every seed shares.

Where every seed has the same rows, this is the two-way bootstrap of `resample`. Held-out rows are other ones in every seed; a
row that is in several counts as often in all of them.
"""

# N rows, S seeds, D bootstrap draws, U distinct rows of a pool, K columns (one quantity of one seed)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2s.metrics.resample import DRAWS, LEVEL, Floats, Interval, percentile

COUNTS_AT_ONCE = 2**22  # counts of rows held in memory at a time: 32 MiB


@dataclass(frozen=True)
class Column:
    """A number for each of some rows [N], of one seed."""

    seed: int
    ids: Sequence[str]
    values_N: Floats


@dataclass(frozen=True)
class Quantity:
    """A number for each row of a pool, seed by seed; quantities of one pool are drawn over the same rows."""

    pool: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Drawn:
    """A mean over seeds and rows, and what it was in each draw [D]; NaN where a draw held none of its rows."""

    found: float
    drawn_D: Floats

    def __sub__(self, other: Drawn) -> Drawn:
        return Drawn(self.found - other.found, self.drawn_D - other.drawn_D)

    def times(self, other: Drawn) -> Drawn:
        return Drawn(self.found * other.found, self.drawn_D * other.drawn_D)

    def interval(self, level: float = LEVEL) -> Interval:
        """The percentile interval over the draws that held any of its rows."""
        known_D = self.drawn_D[np.isfinite(self.drawn_D)]
        return percentile(self.found, known_D if len(known_D) else np.array([self.found]), level)


def constant(value: float, draws: int) -> Drawn:
    """A number that is known."""
    return Drawn(value, np.full(draws, value))


def jointly(quantities: Mapping[str, Quantity], *, draws: int = DRAWS, seed: int = 0) -> dict[str, Drawn]:
    """The mean of each quantity, all rows of all its seeds alike, and its draws: the same rows and seeds for all of them.

    The order of rows, seeds and quantities moves no number. Raises ValueError for values that are not finite, an id twice in a
    column, and a quantity without rows.
    """
    seeds = sorted({column.seed for quantity in quantities.values() for column in quantity.columns})
    generator = np.random.default_rng(seed)
    seeds_DS = generator.multinomial(len(seeds), np.full(len(seeds), 1 / max(1, len(seeds))), size=draws).astype(
        np.float64
    )
    found: dict[str, Drawn] = {}
    for pool in sorted({quantity.pool for quantity in quantities.values()}):
        own = {name: one for name, one in quantities.items() if one.pool == pool}
        found |= _pool(own, seeds, seeds_DS, generator)
    return {name: found[name] for name in quantities}


def _pool(
    quantities: Mapping[str, Quantity], seeds: Sequence[int], seeds_DS: Floats, generator: np.random.Generator
) -> dict[str, Drawn]:
    """The quantities of one pool."""
    columns = [(name, column) for name, one in quantities.items() for column in one.columns]
    ids = sorted({row_id for _, column in columns for row_id in column.ids})
    values_UK, there_UK = _side_by_side([column for _, column in columns], ids)
    seed_K = np.array([seeds.index(column.seed) for _, column in columns], dtype=np.int64)
    mine = {name: np.array([owner == name for owner, _ in columns]) for name in quantities}
    draws = len(seeds_DS)
    sums = {name: np.empty((2, draws)) for name in quantities}
    at_once = max(1, COUNTS_AT_ONCE // len(ids))
    for start in range(0, draws, at_once):
        span = slice(start, min(start + at_once, draws))
        rows_DU = np.stack([
            np.bincount(generator.integers(0, len(ids), len(ids)), minlength=len(ids)) for _ in range(span.stop - start)
        ]).astype(np.float64)  # fmt: skip
        weight_DK = seeds_DS[span][:, seed_K]
        above_DK, below_DK = (rows_DU @ values_UK) * weight_DK, (rows_DU @ there_UK) * weight_DK
        for name, own_K in mine.items():
            sums[name][:, span] = above_DK[:, own_K].sum(axis=1), below_DK[:, own_K].sum(axis=1)
    found: dict[str, Drawn] = {}
    for name, own_K in mine.items():
        above_D, below_D = sums[name]
        drawn_D = np.divide(above_D, below_D, out=np.full(draws, np.nan), where=below_D > 0)
        found[name] = Drawn(float(values_UK[:, own_K].sum() / there_UK[:, own_K].sum()), drawn_D)
    return found


def _side_by_side(columns: Sequence[Column], ids: Sequence[str]) -> tuple[Floats, Floats]:
    """Values [U, K], 0 where a column has no such row, and whether it has."""
    place = {row_id: at for at, row_id in enumerate(ids)}
    values_UK, there_UK = np.zeros((len(ids), len(columns))), np.zeros((len(ids), len(columns)))
    for k, column in enumerate(columns):
        at_N = np.array([place[row_id] for row_id in column.ids], dtype=np.int64)
        values_N = np.asarray(column.values_N, dtype=np.float64)
        if not len(at_N) or values_N.shape != at_N.shape or len(set(at_N.tolist())) != len(at_N):
            raise ValueError(
                f"{len(at_N)} ids, {len(set(at_N.tolist()))} of them distinct, for values {values_N.shape}"
            )
        if not np.isfinite(values_N).all():
            raise ValueError("values hold NaN or infinity")
        values_UK[at_N, k], there_UK[at_N, k] = values_N, 1.0
    return values_UK, there_UK
