"""Whether labellers differ by more than the luck of rows and of seeds: every pair of them by a t test that is crossed over both."""

# K labellers, S seeds, N rows, C pairs

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from w2s.metrics.paired import flip_test
from w2s.metrics.resample import Flags, Floats, flags


def pair_tests(correct_KSN: Flags) -> Floats:
    """Two-sided p values [K, K] that two labellers are equally good; 1 on the diagonal. Rows and seeds are matched throughout.

    The question is about other rows *and* other seeds. A difference on row n under seed s is their mean difference, plus what
    the seed brings (other halves, another beginning), plus what the row brings, plus a rest; so the variance of the mean is
    (MS_seeds + MS_rows - MS_rest) / (S N), with Satterthwaite's degrees of freedom (the quasi F of Clark 1973, "The
    language-as-fixed-effect fallacy"). A test that takes these models as they are (`flip_test`) leaves MS_seeds out, and finds
    winners among equals as soon as training has luck of its own.

    Few seeds tell the size of that luck badly: MS_seeds by itself has S - 1 degrees of freedom, far too few for the small p
    values that a correction for many comparisons asks for. So it is taken to be at least as many times MS_rest, which is larger
    the more often two labellers differ, as over all pairs together, with the (K - 1)(S - 1) degrees of freedom of that.
    (Simulated among equals with Holm's correction at .05, some pair was told apart in 1 to 5 of 100 tables, in 6 where some
    methods have ten times the luck of others; by `flip_test` in up to 98.) With one seed there is nothing to learn of luck: then
    it is `flip_test`, McNemar's exact test, and speaks of these models alone.

    Raises ValueError for other shapes than [K, S, N], and values other than 0 and 1.
    """
    parts = flags(*correct_KSN)
    count, (n_seeds, n_rows) = len(parts), parts[0].shape
    p_KK = np.ones((count, count))
    pairs = list(combinations(range(count), 2))
    if n_seeds == 1 or n_rows == 1:
        found = [flip_test(parts[i], parts[j]) for i, j in pairs]
    else:
        found = _tests([_squares(parts[i], parts[j]) for i, j in pairs], count, n_seeds, n_rows)
    for (i, j), p in zip(pairs, found, strict=True):
        p_KK[i, j] = p_KK[j, i] = p
    return p_KK


@dataclass(frozen=True)
class _Squares:
    """Of the differences of two labellers [S, N]: their sum, and the mean squares of seeds, of rows and of the rest."""

    total: int
    seeds: float
    rows: float
    rest: float


def _squares(one_SN: Flags, other_SN: Flags) -> _Squares:
    apart_SN = other_SN.astype(np.int64) - one_SN.astype(np.int64)
    n_seeds, n_rows = apart_SN.shape
    total = int(apart_SN.sum())
    # times S N, and so whole numbers: labellers that are equal are exactly equal
    mean = total**2
    seeds = n_seeds * int((apart_SN.sum(axis=1) ** 2).sum()) - mean
    rows = n_rows * int((apart_SN.sum(axis=0) ** 2).sum()) - mean
    rest = n_seeds * n_rows * int((apart_SN**2).sum()) - mean - seeds - rows
    scale = n_seeds * n_rows
    return _Squares(
        total, seeds / scale / (n_seeds - 1), rows / scale / (n_rows - 1), rest / scale / ((n_seeds - 1) * (n_rows - 1))
    )


def _tests(found_C: list[_Squares], count: int, n_seeds: int, n_rows: int) -> list[float]:
    rest = math.fsum(found.rest for found in found_C)  # exact, so that the order of labellers changes nothing
    luck = math.fsum(found.seeds for found in found_C) / rest if rest else 0.0
    return [_p(found, luck, count, n_seeds, n_rows) for found in found_C]


def _p(found: _Squares, luck: float, count: int, n_seeds: int, n_rows: int) -> float:
    from scipy.special import stdtr  # a tenth of what scipy.stats takes to load

    if found.total == 0:
        return 1.0
    seeds, freedom = max(found.seeds, luck * found.rest), (count - 1) * (n_seeds - 1)
    # neither luck is negative: what they bring together is at least what either brings
    square = max(seeds + found.rows - found.rest, seeds, found.rows)
    if square == 0:  # the same on every row of every seed
        return 2.0 ** (1 - n_rows)
    spread = seeds**2 / freedom + found.rows**2 / (n_rows - 1) + found.rest**2 / ((n_seeds - 1) * (n_rows - 1))
    t = abs(found.total) / np.sqrt(square * n_seeds * n_rows)
    return float(min(1.0, 2 * stdtr(square**2 / spread, -t)))
