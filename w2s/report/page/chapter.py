"""One recipe as its page tells it: its report, each method with all that is known of it, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.errors import Problem, from_record
from cluster.run_record import read_runs
from cluster.store import Store
from w2s import bridge
from w2s.method import MethodConfig
from w2s.recipe import Recipe
from w2s.report.curves import Curve, curves
from w2s.report.diagnostics import Diagnosis, Evidence, beside
from w2s.report.gather import evidence, gather
from w2s.report.misfit import Foretold
from w2s.report.misfit_gather import misfits
from w2s.report.ranking import ranking
from w2s.report.reading import Reader
from w2s.report.summary import MethodScores, Report, Row, summarise
from w2s.report.wanted import Wanted
from w2s.shown.ledger import Ledger
from w2s.stages import Outcome, Stage

NAMED = 24  # missing stages that are named on a page; the table of stages has the others


@dataclass(frozen=True)
class Line:
    """One method of one recipe. `name` is its own on the whole page; `foretold` its pair, and those it chose among."""

    name: str
    config: MethodConfig
    scores: MethodScores
    row: Row
    outcomes: Mapping[int, Outcome]
    evidence: Evidence | None
    diagnosis: Diagnosis | None
    curves: tuple[Curve, ...]
    chapter: str
    foretold: tuple[Foretold, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A stage that failed in the newest run that tried it, and is not there since."""

    name: str
    what: str
    log: str


@dataclass(frozen=True)
class Chapter:
    """One recipe: `title` is its own on the page; `graph` holds every stage by key, inputs first."""

    title: str
    wanted: Wanted
    report: Report
    lines: tuple[Line, ...]
    graph: Mapping[str, Stage]
    missing: tuple[Stage, ...]
    failures: tuple[Failure, ...]
    finish: str

    @property
    def recipe(self) -> Recipe:
        return self.wanted.written.recipe

    @property
    def missing_names(self) -> list[str]:
        """What is missing, each name once; of many the first."""
        names = [f"{name} ({count} of them)" if count > 1 else name for name, count in self._counted.items()]
        more = len(names) - NAMED
        return names if more <= 0 else [*names[:NAMED], f"and {more} more"]

    @property
    def _counted(self) -> Counter[str]:
        return Counter(bridge.name(stage) for stage in self.missing)


def distinct(chapters: Sequence[Chapter]) -> list[Line]:
    """The methods of all recipes, those that are the same stages once: with how many recipes more have them in its name."""
    found: dict[tuple[str, ...], list[Line]] = {}
    for line in (line for chapter in chapters for line in chapter.lines):
        goals = tuple(stage.key for outcome in line.outcomes.values() for stage in outcome.stages())
        found.setdefault(goals, []).append(line)
    return [_shared(lines[0], len(lines) - 1) for lines in found.values()]


def _shared(line: Line, more: int) -> Line:
    return replace(line, name=f"{line.name} (and in {more} more)") if more else line


def chapters(
    wanted: Sequence[Wanted], store: Store, ledger: Ledger, store_typed: str, *, fixed: bool = False
) -> tuple[Chapter, ...]:
    """What the store holds of each recipe. Reads only. Raises StageFailed for a damaged result."""
    titles = _titles([one.written.recipe for one in wanted])
    return tuple(
        _chapter(title, one, store, ledger, store_typed, alone=len(wanted) == 1, fixed=fixed)
        for title, one in zip(titles, wanted, strict=True)
    )


def _titles(recipes: Sequence[Recipe]) -> list[str]:
    """Names that differ: those of one name are told apart by what they promise."""
    counted = Counter(recipe.name for recipe in recipes)
    return [recipe.name if counted[recipe.name] == 1 else f"{recipe.name} {recipe.fingerprint}" for recipe in recipes]


def _chapter(
    title: str, wanted: Wanted, store: Store, ledger: Ledger, store_typed: str, *, alone: bool, fixed: bool
) -> Chapter:
    recipe = wanted.written.recipe
    found = gather(recipe, store)
    report = summarise(found, fixed=fixed)
    reader = Reader(store)
    foretold = misfits(recipe, found, store, reader)
    report = replace(report, ranking=ranking(found, report), misfits=foretold)
    graph = recipe.graph()
    missing = tuple(stage for key, stage in graph.items() if ledger.receipt(key) is None)
    known = [None] * len(report.rows) if recipe.task.writes else list(evidence(recipe, found, store, reader))
    ways = curves(recipe, found, store)
    lines = tuple(
        Line(
            row.method if alone else f"{title}: {row.method}", config, scores, row, outcomes, seen,
            None if seen is None else beside(seen, report.level),
            tuple(curve for curve in ways if curve.method == row.method), title,
            () if foretold is None else tuple(one for one in foretold.lines if row.method == (one.group or one.name)),
        )
        for row, scores, seen, (config, outcomes) in zip(
            report.rows, found.methods, known, recipe.outcomes.items(), strict=True
        )
    )  # fmt: skip
    finish = wanted.command(store_typed) if missing else ""
    return Chapter(title, wanted, report, lines, graph, missing, _failures(missing, store), finish)


def _failures(missing: Sequence[Stage], store: Store) -> tuple[Failure, ...]:
    """Those of the missing stages whose failure a journal tells, by the newest run that knows of them."""
    if not missing:
        return ()
    names = {stage.key: bridge.name(stage) for stage in missing}
    found: dict[str, Failure] = {}
    try:
        for run in read_runs(store.files):
            for failure in run.failures:
                key = failure["key"]
                if key in names and key not in found:
                    error = failure.get("error")
                    what = str(from_record(dict(error))) if isinstance(error, Mapping) else str(error)
                    found[key] = Failure(names[key], what, str(store.log_path(key)))
    except Problem:  # journals are for convenience: a report can do without
        return ()
    return tuple(found.values())
