"""A report as HTML: what each section of the page shows, and the page itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.monitor import clock
from cluster.store import Store
from w2s.report.page.asked import asked_of
from w2s.report.page.calibrated import reliability
from w2s.report.page.chapter import Chapter, chapters, distinct
from w2s.report.page.cost import cost_of
from w2s.report.page.course import alpha, ladder, learning, schedules
from w2s.report.page.crowds import ensembles
from w2s.report.page.examples import examples
from w2s.report.page.figure import Figure
from w2s.report.page.graph import MOST, draw
from w2s.report.page.manifest import manifest_of
from w2s.report.page.misfit import misfit
from w2s.report.page.ranked import rankings
from w2s.report.page.scores import accuracies, agreement, pgr
from w2s.report.page.weights import weights
from w2s.report.sheets import HEAD, cells, legend, remarks
from w2s.report.summary import SIDES, Row
from w2s.report.wanted import Wanted
from w2s.shown import frame
from w2s.shown.ledger import Ledger
from w2s.stages import walk

GRAPHS = 6


def write_page(wanted: Sequence[Wanted], store: Store, store_typed: str, place: Path) -> Path:
    """Write the page of some recipes. Reads the store. Raises StageFailed for a damaged result, BadEnvironment."""
    return frame.put(render(wanted, store, store_typed), place, "the report's page")


def render(wanted: Sequence[Wanted], store: Store, store_typed: str, *, fixed: bool = False) -> str:
    """The page as HTML. What recipes, names and data say is text in it, never markup."""
    environment = frame.environment("w2s.report.page")
    environment.filters |= {"clock": clock}
    ledger = Ledger(store)
    told = chapters(wanted, store, ledger, store_typed, fixed=fixed)
    content = _content(told, store, ledger) | {
        "last_run": wanted[0].last_run,
        "written": time.strftime("%Y-%m-%d %H:%M"),
    }
    return environment.get_template("report.html").render(content)


def _content(told: Sequence[Chapter], store: Store, ledger: Ledger) -> dict[str, Any]:
    alone = len(told) == 1
    parted, more_parted = examples(told, store)
    lines = [(chapter, line) for chapter in told for line in chapter.lines]
    return {
        "title": ", ".join(chapter.title for chapter in told),
        "alone": alone,
        "chapters": told,
        "oracle": any(line.scores.oracle for _, line in lines),
        "head": HEAD if alone else ("recipe", *HEAD),
        "results": [cells(line.row) if alone else (chapter.title, *cells(line.row)) for chapter, line in lines],
        "legend": list(dict.fromkeys(words for chapter in told for words in legend(chapter.report))),
        "no_gap": [line.name for _, line in lines if _has_no_gap(line.row)],
        "notes": [
            words if alone else f"{chapter.title}: {words}" for chapter in told for words in remarks(chapter.report)
        ],
        "rankings": rankings(told),
        "facts": [_facts(chapter) for chapter in told],
        "asked": [asked_of(chapter, store, ledger) for chapter in told],
        "fixed": any(line.row.fixed is not None for _, line in lines),
        "figures": figures(told, store),
        "parted": parted,
        "more_parted": more_parted,
        "cost": cost_of(told, ledger),
        "graphs": [_graph(f"graph{place}", chapter, ledger) for place, chapter in enumerate(told[:GRAPHS])],
        "more_graphs": max(0, len(told) - GRAPHS),
        "manifest": manifest_of(told, ledger),
        "recipes": [_recipe(chapter) for chapter in told],
    }


def _has_no_gap(row: Row) -> bool:
    return bool(row.seeds) and row.sides == SIDES and row.pgr is None


def figures(told: Sequence[Chapter], store: Store) -> list[Figure]:
    """Those that have something to show."""
    lines = distinct(told)
    levels = {chapter.report.chance for chapter in told}
    by_line = (agreement, misfit, alpha, schedules, ladder)
    made = [
        pgr(lines),
        accuracies(lines, levels),
        *(figure(lines) for figure in by_line),
        ensembles(told, store),
        weights(told, store),
        learning(lines),
        reliability(lines),
    ]
    return [figure for figure in made if figure is not None]


def _facts(chapter: Chapter) -> tuple[str, ...]:
    report = chapter.report
    n_test = "-" if report.n_test is None else f"{report.n_test:,}"
    majority = "-" if report.majority is None else f"{report.majority:.3f}"
    return (
        chapter.title, report.task, report.weak, report.strong, n_test, f"{report.chance:.3f}", majority,
        ", ".join(map(str, chapter.recipe.seeds)),
    )  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """The drawing of a recipe's stages, and what of them it shows."""

    title: str
    svg: str
    told: str


def _graph(name: str, chapter: Chapter, ledger: Ledger) -> Graph:
    """One seed of every method: the others look the same. Of the first method alone where that is still too much."""
    seed = chapter.recipe.seeds[0]
    shown = walk(*(stage for line in chapter.lines for stage in line.outcomes[seed].stages()))
    what = f"Seed {seed} of {len(chapter.recipe.seeds)}" if len(chapter.recipe.seeds) > 1 else f"Seed {seed}"
    if len(shown) > MOST:
        shown = walk(*chapter.lines[0].outcomes[seed].stages())
        what += f", method {chapter.lines[0].row.method}"
    there = {key for key in shown if ledger.receipt(key) is not None}
    every = len(chapter.graph)
    counted = f"{len(shown)} of {every} stages" if len(shown) < every else f"all {every} stages"
    missing = len(shown) - len(there)
    words = f"{what}: {counted}; each stands right of what it needs, and what that needs in turn. " + (
        f"{missing} with dashed frames are not there yet." if missing else "All of them are there."
    )
    if len(shown) > MOST:
        return Graph(chapter.title, "", f"{len(shown)} stages for one seed are too many to draw.")
    return Graph(chapter.title, draw(name, shown, there, f"Graph of stages of {chapter.title}. {words}"), words)


@dataclass(frozen=True)
class Again:
    """How a recipe is run again: the command, and the recipe as YAML with the overrides in it."""

    title: str
    command: str
    yaml: str


def _recipe(chapter: Chapter) -> Again:
    text = yaml.safe_dump(chapter.wanted.written.data, sort_keys=False, allow_unicode=True, width=100)
    return Again(chapter.title, chapter.wanted.command(), text)
