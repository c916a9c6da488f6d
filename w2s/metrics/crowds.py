"""How alike the members of a crowd are: how often two of them differ, and how far they err on the same rows."""

# M members, N rows, C classes

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from w2s.metrics.scores import Flags, Floats, Ints

PAIRS = 500  # of members that are compared
Item = TypeVar("Item")


def disagreement(members_MNC: Sequence[Floats]) -> float:
    """The share of rows on which two members' most probable classes differ, on average over pairs; 0 for fewer than two."""
    chosen = [one_NC.argmax(axis=-1) for one_NC in members_MNC]
    return float(np.mean([(one != other).mean() for one, other in _pairs(chosen)] or [0.0]))


def error_correlations(members_MNC: Sequence[Floats], truth_N: Ints) -> list[float]:
    """For each pair of members the correlation over rows of being wrong (the phi coefficient).

    1: they err on the same rows, and two are worth one; 0: as independent ones do; below 0: each where the other is right. Pairs of
    which one is always or never wrong have none.
    """
    wrong = [one_NC.argmax(axis=-1) != truth_N for one_NC in members_MNC]
    mixed = [one for one in wrong if 0 < one.sum() < len(one)]
    return [_phi(one, other) for one, other in _pairs(mixed)]


def _phi(one_N: Flags, other_N: Flags) -> float:
    p, q = one_N.mean(), other_N.mean()
    return float(((one_N & other_N).mean() - p * q) / np.sqrt(p * (1 - p) * q * (1 - q)))


def _pairs(items: Sequence[Item]) -> list[tuple[Item, Item]]:
    found = list(combinations(items, 2))
    return found[:: max(1, len(found) // PAIRS)]
