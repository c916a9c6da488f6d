"""What a search found, as far as it has come: the best trial by the objective, as a recipe; and how good that choice was."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from cluster.disk import told as disk_told
from cluster.errors import EXIT_OK
from cluster.scheduler import Summary
from w2s.recipe import Recipe
from w2s.schema import set_at, split
from w2s.search.searched import Searched
from w2s.search.table import Row, Table
from w2s.search.trials import Trial, trial_recipe

BEST, COLUMNS, PAGE = "best.yaml", "trials.parquet", "report.html"
SHOWN = 10


@dataclass(frozen=True)
class Ending:
    """A search as its table tells it. `best` is chosen by the objective alone; `regret` needs the truth and chooses nothing."""

    searched: Searched
    folder: Path
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    board: Path | None = None
    """The root of its TensorBoard files, once they are written."""

    @property
    def page(self) -> Path | None:
        """What people look at, once it is written."""
        return self.folder / PAGE if (self.folder / PAGE).is_file() else None

    @property
    def judged(self) -> list[Row]:
        """Finished trials, the best first."""
        done = [row for row in self.rows if row.status == "done" and _number(row, "objective") is not None]
        return sorted(done, key=lambda row: (-float(row.metrics["objective"] or 0), row.number))

    @property
    def best(self) -> Row | None:
        return next(iter(self.judged), None)

    @property
    def regret(self) -> float | None:
        """Test accuracy of the best trial by the truth, less that of the one chosen; None before there are two."""
        truths = [truth for row in self.judged if (truth := _number(row, "test_accuracy")) is not None]
        chosen = None if self.best is None else _number(self.best, "test_accuracy")
        return max(truths) - chosen if len(truths) > 1 and chosen is not None else None

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's, between objective and test accuracy over finished trials; None where either does not vary."""
        from scipy.stats import spearmanr

        pairs = [(_number(row, "objective"), _number(row, "test_accuracy")) for row in self.judged]
        whole = [(one, other) for one, other in pairs if one is not None and other is not None]
        if len(whole) < 3 or len({one for one, _ in whole}) < 2 or len({other for _, other in whole}) < 2:
            return None
        return float(spearmanr(*zip(*whole, strict=True)).statistic)

    def count(self, status: str) -> int:
        return sum(row.status == status for row in self.rows)

    def exit_code(self, summary: Summary | None) -> int:
        """Of the run just ended. Where nothing was left to run nothing has failed: a failed trial is always tried again."""
        return EXIT_OK if summary is None else summary.exit_code

    def as_dict(self) -> dict[str, Any]:
        search = self.searched.search
        best = self.best
        return {
            "recipe": self.searched.recipe.name, "objective": search.objective, "oracle": search.is_oracle,
            "trials": {status: self.count(status) for status in ("done", "stopped", "failed", "running")},
            "best": None if best is None else {
                "trial": best.trial, "number": best.number, "overrides": dict(best.overrides), "metrics": dict(best.metrics),
                "recipe": str(self.folder / BEST),
            },
            "regret": self.regret, "rank_correlation": self.rank_correlation, "folder": str(self.folder),
            "table": str(self.folder / "trials.jsonl"), "columns": str(self.folder / COLUMNS), "notes": list(self.notes),
            "page": None if self.page is None else str(self.page), "tensorboard": None if self.board is None else str(self.board),
        }  # fmt: skip


def as_it_stands(searched: Searched, folder: Path) -> Ending:
    """What the table tells now. Reads only."""
    table = Table.open(folder)
    rows = tuple(row for row in table.rows().values() if row.is_member == _breeds(searched))
    return Ending(searched, folder, rows, table.notes())


def conclude(searched: Searched, folder: Path) -> Ending:
    """Read the table; write the trials as columns, and the best as a recipe. Raises BadEnvironment where they cannot be."""
    ending = as_it_stands(searched, folder)
    if ending.rows:
        Table.open(folder).export(folder / COLUMNS)
    if ending.best is not None:
        _write_best(ending)
    return ending


def best_recipe(ending: Ending) -> Recipe | None:
    """The best trial's recipe."""
    return None if ending.best is None else trial_recipe(ending.searched, Trial(ending.best.overrides))


def _breeds(searched: Searched) -> bool:
    return searched.search.algorithm == "pbt"


def _write_best(ending: Ending) -> None:
    best, searched = ending.best, ending.searched
    assert best is not None
    data = deepcopy({name: value for name, value in searched.data.items() if name != "search"})
    data["seeds"] = list(searched.seeds)
    for path, value in best.overrides.items():
        set_at(Recipe, data, split(path), deepcopy(value), path)
    data["name"] = f"{searched.recipe.name[:59]}-best"
    search = searched.search
    oracle = " It was chosen by ground truth: a bound, not a method." if search.is_oracle else ""
    head = (
        f"# The best of {len(ending.judged)} finished trials of {searched.written.path.name}, by {search.objective} on held-out rows: "
        f"{float(best.metrics['objective'] or 0):.4f}.{oracle}\n{_runs(searched)}\n"
    )
    text = head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    place = ending.folder / BEST
    part = place.with_name(f".{BEST}.{os.getpid()}")
    with disk_told("best recipe", place):
        part.write_text(text, encoding="utf-8")
        part.replace(place)


def _runs(searched: Searched) -> str:
    if _breeds(searched):
        return "# `w2s run` trains it in one go, and gives the weights that the population found leg by leg."
    rest = "; its baselines are trained" if searched.recipe.baselines else ""
    return f"# `w2s run` of this file finds its stages in the store{rest}."


def told(ending: Ending, console: Console) -> None:
    """Print what was found."""
    search = ending.searched.search
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    mark = " (oracle)" if search.is_oracle else ""
    for name in ("trial", "", f"{search.objective}{mark}", "test accuracy*", "status"):
        grid.add_column(name, justify="left" if name in ("", "status") else "right")
    for row in [*ending.judged[:SHOWN], *[row for row in ending.rows if row.status == "failed"][:SHOWN]]:
        grid.add_row(
            str(row.number), escape(Trial(row.overrides).label), _shown(_number(row, "objective")),
            _shown(_number(row, "test_accuracy")), row.status,
        )  # fmt: skip
    console.print(grid)
    counts = ", ".join(
        f"{ending.count(status)} {word}"
        for status, word in (
            ("done", "done"),
            ("stopped", "stopped early"),
            ("failed", "failed"),
            ("running", "under way"),
        )
        if ending.count(status)
    )
    console.print(f"\n{len(ending.rows)} trials: {counts or 'none yet'}", markup=False)
    _tell_choice(ending, console)
    for what, place in (("best", BEST), ("table", "trials.jsonl"), ("columns", COLUMNS), ("page", PAGE)):
        if (ending.folder / place).exists():
            console.print(f"  {what:<12} {ending.folder / place}", markup=False)
    if ending.board is not None:
        console.print(f"  {'curves':<12} tensorboard --logdir {ending.board}", markup=False)
    if ending.best is not None:
        console.print(f"  {'run it':<12} w2s run {ending.folder / BEST}", markup=False)


def _tell_choice(ending: Ending, console: Console) -> None:
    search, best = ending.searched.search, ending.best
    if best is None:
        return
    console.print(f"best by {search.objective}: trial {best.number} ({Trial(best.overrides).label})", markup=False)
    if search.is_oracle:
        console.print(
            "  the objective looks at ground truth: a bound, which no honest search can reach", style="yellow"
        )
    if ending.regret is not None:
        correlation = ending.rank_correlation
        rank = (
            "" if correlation is None else f"; rank correlation of {search.objective} with the truth {correlation:.2f}"
        )
        console.print(f"  * for the record, chosen by nothing: regret {ending.regret:.4f}{rank}", markup=False)


def _number(row: Row, name: str) -> float | None:
    value = row.metrics.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
