"""Candidates in the order of their predicted losses: how sure that order is, and, where the truth is known, how right it was."""

# J pairs that are ranked, D bootstrap draws

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s.metrics import Floats, Interval, Ints
from w2s.metrics.jointly import Drawn

FEWEST = 3  # pairs of which a correlation says anything


@dataclass(frozen=True)
class Place:
    """A pair's rank by predicted loss among so many (1: least), its interval over draws, and the share of draws in which it is
    first. `true_rank`: by its student's true loss."""

    rank: int
    low: int
    high: int
    of: int
    first: float
    true_rank: int | None = None


@dataclass(frozen=True)
class Ranking:
    """The pairs that were ranked together. What follows `first` is known from the truth alone.

    `spearman`: of predicted with true losses, from three pairs on. `regret`: the true loss of the student that was predicted to
    be best, less that of the one that is.
    """

    group: str
    names: tuple[str, ...]
    first: str
    best: str | None = None
    spearman: Interval | None = None
    regret: Interval | None = None


@dataclass(frozen=True)
class Standing:
    """What a pair is ranked by; `true` is its student's true loss, None where nobody may know it."""

    name: str
    predicted: Drawn
    true: Drawn | None


def rank(group: str, standings: Sequence[Standing], level: float) -> tuple[Ranking, list[Place]]:
    """The ranking of two pairs or more, and the place of each. Raises ValueError for fewer."""
    if len(standings) < 2:
        raise ValueError("a ranking needs two pairs")
    predicted_J = np.array([one.predicted.found for one in standings])
    predicted_JD = np.stack([one.predicted.drawn_D for one in standings])
    whole_D = np.isfinite(predicted_JD).all(axis=0)
    ranks_JD = _ranks(predicted_JD[:, whole_D]) if whole_D.any() else _ranks(predicted_J[:, None])
    rank_J = _ranks(predicted_J[:, None])[:, 0]
    ends_2J = np.quantile(ranks_JD, [(1 - level) / 2, (1 + level) / 2], axis=1, method="inverted_cdf")
    true = [one.true for one in standings if one.true is not None]
    known = len(true) == len(standings)
    true_J = _ranks(np.array([one.found for one in true])[:, None])[:, 0] if known else None
    places = [
        Place(
            int(rank_J[j]), int(ends_2J[0, j]), int(ends_2J[1, j]), len(standings), float((ranks_JD[j] == 1).mean()),
            None if true_J is None else int(true_J[j]),
        )
        for j in range(len(standings))
    ]  # fmt: skip
    names = tuple(one.name for one in standings)
    ranking = Ranking(group, names, names[int(predicted_J.argmin())])
    return (_judged(ranking, standings, true, level) if known else ranking), places


def _judged(ranking: Ranking, standings: Sequence[Standing], true: Sequence[Drawn], level: float) -> Ranking:
    """The same, held against the truth."""
    first = int(np.argmin([one.predicted.found for one in standings]))
    best = int(np.argmin([one.found for one in true]))
    regret = (true[first] - true[best]).interval(level)
    return Ranking(
        ranking.group, ranking.names, ranking.first, standings[best].name, _spearman(standings, true, level), regret
    )


def _spearman(standings: Sequence[Standing], true: Sequence[Drawn], level: float) -> Interval | None:
    """The rank correlation of predicted with true losses; None of fewer than three, or where all of one kind are equal."""
    if len(standings) < FEWEST:
        return None
    found = correlation(np.array([[one.predicted.found] for one in standings]), np.array([[one.found] for one in true]))
    drawn_D = correlation(
        np.stack([one.predicted.drawn_D for one in standings]), np.stack([one.drawn_D for one in true])
    )
    return None if np.isnan(found[0]) else Drawn(float(found[0]), drawn_D).interval(level)


def correlation(one_JD: Floats, other_JD: Floats) -> Floats:
    """Spearman's rank correlation over J of each of D columns [D]; ties share their mean rank; NaN where one side is constant."""
    ranks = [_mean_ranks(side_JD) for side_JD in (one_JD, other_JD)]
    a_JD, b_JD = (side_JD - side_JD.mean(axis=0) for side_JD in ranks)
    spread_D = np.sqrt((a_JD**2).sum(axis=0) * (b_JD**2).sum(axis=0))
    missing_D = ~(np.isfinite(one_JD).all(axis=0) & np.isfinite(other_JD).all(axis=0))
    found_D: Floats = np.divide(
        (a_JD * b_JD).sum(axis=0), spread_D, out=np.full(spread_D.shape, np.nan), where=(spread_D > 0) & ~missing_D
    )
    return found_D


def _ranks(values_JD: Floats) -> Ints:
    """1 for the least of each column; equals share the better rank."""
    found: Ints = 1 + (values_JD[None, :, :] < values_JD[:, None, :]).sum(axis=1)
    return found


def _mean_ranks(values_JD: Floats) -> Floats:
    less_JD = (values_JD[None, :, :] < values_JD[:, None, :]).sum(axis=1)
    same_JD = (values_JD[None, :, :] == values_JD[:, None, :]).sum(axis=1)
    found: Floats = less_JD + (same_JD + 1) / 2
    return found
