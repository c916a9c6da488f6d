"""The methods of each recipe by rank: a table with what may be said of each, and their accuracies in that order as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from w2s.report.cells import interval, seeds_text
from w2s.report.page.chapter import Chapter
from w2s.report.page.figure import MOST_DRAWN, drawn_of, listed
from w2s.report.ranking import Ranking, Standing
from w2s.report.standings import apart_cells, apart_head, notes, pgr_text, rank_text, verdict
from w2s.shown.drawing import Look
from w2s.shown.forest import Dot, Entry, Rule, forest

NEAR, WORSE, UNRANKED = "best, or within noise of it", "worse than the best", "not ranked"
LOOKS = {NEAR: Look("honest", "circle"), WORSE: Look("muted", "square"), UNRANKED: Look("oracle", "ring")}


@dataclass(frozen=True)
class Shown:
    """One recipe's ranking. `svg` is "" where nothing of it can be drawn."""

    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    svg: str
    told: str


def rankings(chapters: Sequence[Chapter]) -> list[Shown]:
    """Those of the recipes that have one: methods are ranked within their recipe alone."""
    return [
        _shown(f"ranking{place}", chapter.title, chapter.report.ranking)
        for place, chapter in enumerate(chapters)
        if chapter.report.ranking is not None
    ]


def _shown(name: str, title: str, ranking: Ranking) -> Shown:
    differ = any(one.seeds != ranking.seeds for one in ranking.standings)
    head = ("method", "rank", "transfer", "PGR", *apart_head(ranking), *(("seeds",) if differ else ()), "verdict")
    rows = [
        (one.method, rank_text(one), interval(one.transfer), pgr_text(one), *apart_cells(one, ranking),
         *((seeds_text(one.seeds),) if differ else ()), verdict(one, ranking))
        for one in ranking.standings
    ]  # fmt: skip
    caption = f"Methods of {title} by test accuracy, p values corrected for {ranking.comparisons} comparisons"
    svg, told = _drawn(name, ranking)
    return Shown(title, caption, head, tuple(map(_unbroken, rows)), notes(ranking), svg, told)


def _unbroken(row: tuple[str, ...]) -> tuple[str, ...]:
    """A line breaks before an interval, never in it: so narrow, all columns are seen at once."""
    return tuple(cell.replace(", ", ",\N{NO-BREAK SPACE}") if cell.endswith("]") else cell for cell in row)


def _drawn(name: str, ranking: Ranking) -> tuple[str, str]:
    drawn = [one for one in ranking.standings if one.transfer is not None]
    if ranking.best is None or not drawn:
        return "", ""
    entries = [Entry(_label(one), (_dot(one),)) for one in drawn[:MOST_DRAWN]]
    top = next(one for one in drawn if one.method == ranking.best)
    rules = () if top.transfer is None else (Rule(top.transfer.mean, "best"),)
    told = (
        "In the order of the table. Bars are intervals of each method by itself. Of two whose bars overlap one may still be clearly "
        f"better, as both have the same rows and seeds: the p values decide.{drawn_of(len(drawn), MOST_DRAWN, 'methods')}"
    )
    alt = "Test accuracy by rank: " + listed(
        [f"{_label(one)} {interval(one.transfer)}, {verdict(one, ranking)}" for one in drawn]
    )
    series = {_series(one) for one in drawn[:MOST_DRAWN]}
    looks = {words: look for words, look in LOOKS.items() if words in series}
    return forest(name, entries, looks, axis="test accuracy", alt=alt, rules=rules), told


def _label(one: Standing) -> str:
    return f"– {one.method}" if one.rank is None else f"{one.rank}. {one.method}"


def _series(one: Standing) -> str:
    if one.rank is None:
        return UNRANKED
    return WORSE if one.than_best == "worse" else NEAR


def _dot(one: Standing) -> Dot:
    assert one.transfer is not None
    return Dot(_series(one), one.transfer.mean, one.transfer.low, one.transfer.high, interval(one.transfer))
