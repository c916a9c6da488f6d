"""A ranking in words: its two tables of text, the one of a page, what stands below them, and its columns for programs."""

from __future__ import annotations

from collections.abc import Sequence

from w2s.report.cells import UNKNOWN, Sheet, interval, p_text, seeds_text
from w2s.report.ranking import Apart, Ranking, Standing

TITLE, APART = "Ranking", "Ranking: how far apart"
PLACES_HEAD = ("method", "rank", "transfer", "PGR", "verdict")
COLUMNS = (
    "rank", "rank_low", "rank_high",
    *(f"{other}{end}" for other in ("to_best", "to_baseline") for end in ("", "_low", "_high", "_p", "_p_adjusted")),
    "than_best", "than_baseline", "unranked", "reason",
)  # fmt: skip
THAN = {"better": "better than", "within noise": "within noise of", "worse": "worse than"}


def sheets(ranking: Ranking) -> tuple[Sheet, ...]:
    """Who stands where, and how far apart: two tables, so that a line fits where reports are piped."""
    places = tuple(
        (one.method, rank_text(one), interval(one.transfer), pgr_text(one), verdict(one, ranking))
        for one in ranking.standings
    )
    if ranking.best is None:
        return (Sheet(TITLE, PLACES_HEAD, places, notes(ranking)),)
    apart = tuple((one.method, *apart_cells(one, ranking), seeds_text(one.seeds)) for one in ranking.standings)
    head = ("method", *apart_head(ranking), "seeds")
    return Sheet(TITLE, PLACES_HEAD, places, ()), Sheet(APART, head, apart, notes(ranking))


def apart_head(ranking: Ranking) -> tuple[str, ...]:
    """What `apart_cells` are called."""
    return "minus the best", "p", *((f"minus {ranking.baseline}", "p") if ranking.baseline is not None else ())


def apart_cells(one: Standing, ranking: Ranking) -> tuple[str, ...]:
    """Differences and adjusted p values, of the best and of the baseline if there is one."""
    both = (one.to_best, *((one.to_baseline,) if ranking.baseline is not None else ()))
    return tuple(cell for apart in both for cell in (interval(apart.difference if apart else None), _p(apart)))


def _p(apart: Apart | None) -> str:
    return UNKNOWN if apart is None or apart.adjusted is None else p_text(apart.adjusted)


def rank_text(one: Standing) -> str:
    """`2 [1, 4]`."""
    return UNKNOWN if one.rank is None else f"{one.rank} [{one.rank_low}, {one.rank_high}]"


def pgr_text(one: Standing) -> str:
    """PGR, or why there is none."""
    return interval(one.pgr, 2) if one.pgr is not None else one.no_pgr or UNKNOWN


def verdict(one: Standing, ranking: Ranking) -> str:
    """What may be said of a method: `within noise of the best, better than naive`."""
    if one.rank is None:
        return f"not ranked: {one.unranked}"
    best = f"{THAN[one.than_best]} the best" if one.than_best else "best"
    return f"{best}, {THAN[one.than_baseline]} {ranking.baseline}" if one.than_baseline else best


def notes(ranking: Ranking) -> tuple[str, ...]:
    """What the numbers are over, what p tests, what is corrected, and what was left out."""
    if ranking.best is None:
        return ("Fewer than two methods have all their seeds: nothing is ranked yet.",)
    several, error = len(ranking.seeds) > 1, 1 - ranking.level
    found = [
        f"By test accuracy, over {ranking.rows:,} test rows and {_counted(ranking.seeds)}. In brackets: {ranking.level:.0%} "
        f"intervals of one paired bootstrap over {'test rows and seeds' if several else 'test rows'} for all methods, those of "
        "ranks too; they are not corrected for their number.",
        f"p: {ranking.comparisons} comparisons corrected by Holm's method, all pairs of the {_ranked(ranking)} ranked methods (which "
        "one is best is known by looking alone): that any of them is called different for nothing has a probability of at most "
        f"{error:.0%}. {TESTED if several else TESTED_ONE}",
        f"Within noise: p of {error:.2f} or more, which is not to say equal. Best: the highest accuracy, however near others are.",
    ]
    if any(one.rank is None for one in ranking.standings):
        found.append(UNRANKED)
    found += [f"{one.method} is no contender ({one.unranked}): {one.reason}" for one in ranking.standings if one.reason]
    return tuple(found)


TESTED = (
    "Each asks about other rows and other seeds at once (a t test crossed over both, Clark 1973), unlike that of w2s compare, "
    "which takes these models as they are."
)
TESTED_ONE = (
    "Each is McNemar's exact test over rows and takes these models as they are: one seed shows no luck of training."
)
UNRANKED = (
    "Not ranked, not tested, never the best: oracles, controls, and methods that lack seeds. Their differences are over the seeds "
    "that both have."
)


def _counted(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {seeds_text(seeds)}"


def _ranked(ranking: Ranking) -> int:
    return sum(one.rank is not None for one in ranking.standings)


# --- for programs -------------------------------------------------------------------------------------------------


def columns(one: Standing | None) -> list[object]:
    """The cells of `COLUMNS`; all None for a method that has no student."""
    if one is None:
        return [None] * len(COLUMNS)
    apart = [cell for found in (one.to_best, one.to_baseline) for cell in _apart(found)]
    return [one.rank, one.rank_low, one.rank_high, *apart, one.than_best, one.than_baseline, one.unranked, one.reason]


def _apart(found: Apart | None) -> list[object]:
    if found is None:
        return [None] * 5
    return [found.difference.mean, found.difference.low, found.difference.high, found.p, found.adjusted]
