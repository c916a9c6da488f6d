"""The page of a search, `report.html` in its folder: one file, nothing from elsewhere, readable by day, by night and on paper."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.monitor import clock
from cluster.store import Store
from w2s.search.config import TOLD_OBJECTIVE
from w2s.search.ending import BEST, COLUMNS, PAGE, Ending
from w2s.search.shown.choice import Choice, judge
from w2s.search.shown.cost import cost_of
from w2s.search.shown.descent import Takeover, takeovers
from w2s.search.shown.fields import short, worded
from w2s.search.shown.importance import Importance, importance
from w2s.search.shown.picture import Picture, Plot
from w2s.search.shown.plots_fields import MOST_FIELDS, by_field, importances, parallel
from w2s.search.shown.plots_time import against_truth, best_so_far, learning_curves, schedules
from w2s.search.shown.truth import number
from w2s.search.table import Row
from w2s.search.trials import Trial
from w2s.shown import frame

LISTED = 50
MARKS = ("agreement", "confidence", "misfit")


@dataclass(frozen=True)
class Asked:
    """What the user typed (`w2s tune ...`, as it can be typed again), and how many trials that is."""

    command: str
    trials: int


@dataclass(frozen=True)
class Line:
    """A trial in the page's table, as text."""

    number: int
    label: str
    status: str
    objective: str
    marks: tuple[str, ...]
    seconds: str
    accuracy: str
    test_accuracy: str
    pgr: str
    why: str
    chosen: bool


def write_page(ending: Ending, store: Store, asked: Asked) -> Path:
    """Write the page of a search as far as it has come. Reads the store. Raises BadEnvironment."""
    return frame.put(render(ending, store, asked), ending.folder / PAGE, "page of the search")


def render(ending: Ending, store: Store, asked: Asked) -> str:
    """The page as HTML. What trials and data say is text in it, never markup."""
    environment = frame.environment("w2s.search.shown")
    environment.filters |= {"clock": clock, "n4": _shown}
    return environment.get_template("page.html").render(_content(ending, store, asked))


def _content(ending: Ending, store: Store, asked: Asked) -> dict[str, Any]:
    searched, search = ending.searched, ending.searched.search
    picture = Picture.of(ending, store)
    taken = takeovers(ending.folder) if search.algorithm == "pbt" else []
    choice = judge(ending)
    found = importance(picture.fields, ending.judged)
    best_file = ending.folder / BEST
    return {
        "recipe": searched.recipe.name, "search": search, "objective": picture.objective, "is_oracle": search.is_oracle,
        "told_objective": TOLD_OBJECTIVE[search.objective], "seeds": searched.seeds, "file": searched.written.path.name,
        "space": [(path, _domain(domain), _when(domain)) for path, domain in search.space.items()],
        "asked": asked, "ending": ending, "best": ending.best, "best_label": _label(ending.best),
        "best_yaml": best_file.read_text(encoding="utf-8") if ending.best and best_file.is_file() else "",
        "best_file": best_file, "best_pgr": picture.truth.pgr(ending.best) if ending.best else None,
        "counts": _counts(ending), "missing": _missing(ending, asked), "finished": len(ending.judged),
        "lines": lines(picture), "listed": LISTED, "marks": marks_beside(search.objective), "columns": ending.folder / COLUMNS,
        "truth": picture.truth, "plots": plots(picture, found, choice, taken), "choice": choice,
        "importance": found, "taken": taken, "cost": cost_of(ending, store), "folder": ending.folder,
        "left_fields": 0 if picture.breeds else max(0, sum(field.varies for field in picture.fields) - MOST_FIELDS),
        "written": time.strftime("%Y-%m-%d %H:%M"), "notes": ending.notes,
    }  # fmt: skip


def plots(
    picture: Picture, found: Importance, choice: Choice | None, taken: Sequence[Takeover]
) -> dict[str, list[Plot]]:
    """Section -> its plots; a section with nothing to draw has none."""
    drawn: dict[str, list[Plot | None]] = {
        "fields": [*by_field(picture)],
        "parallel": [parallel(picture)],
        "importance": [importances(picture, found)],
        "best": [best_so_far(picture)],
        "curves": [learning_curves(picture)],
        "schedules": [schedules(picture, taken)],
        "choice": [against_truth(picture, choice) if choice else None],
    }
    return {section: [plot for plot in some if plot is not None] for section, some in drawn.items()}


def marks_beside(objective: str) -> tuple[str, ...]:
    """What an honest search may look at, beside its objective; a predicted gain is not the misfit it comes from."""
    return tuple(mark for mark in MARKS if mark == "misfit" or mark != objective)


def lines(picture: Picture) -> list[Line]:
    """The finished trials, the best first, then those that were stopped, under way and failed; the first 50 of them."""
    ending = picture.ending
    known = {row.trial for row in ending.judged}
    rank = {"done": 0, "stopped": 1, "running": 2, "failed": 3}
    others = sorted(
        (row for row in ending.rows if row.trial not in known),
        key=lambda row: (rank[row.status], -(number(row, "objective") or 0.0), row.number),
    )
    return [_line(picture, row) for row in [*ending.judged, *others][:LISTED]]


def _line(picture: Picture, row: Row) -> Line:
    best, marks = picture.ending.best, marks_beside(picture.ending.searched.search.objective)
    return Line(
        row.number, short(Trial(row.overrides).label, 160), _STATUS[row.status], _shown(number(row, "objective")),
        tuple(_shown(number(row, mark)) for mark in marks), clock(row.seconds) if row.seconds else "",
        _shown(number(row, "accuracy")), _shown(number(row, "test_accuracy")), _shown(picture.truth.pgr(row), 3),
        str(row.metrics.get("why") or ""), best is not None and row.trial == best.trial,
    )  # fmt: skip


_STATUS = {"done": "done", "stopped": "stopped early", "running": "under way", "failed": "failed"}


def _shown(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _label(row: Row | None) -> str:
    return "" if row is None else Trial(row.overrides).label


def _counts(ending: Ending) -> str:
    found = [f"{ending.count(status)} {word}" for status, word in _STATUS.items() if ending.count(status)]
    return ", ".join(found) or "none yet"


def _missing(ending: Ending, asked: Asked) -> str:
    """What an unfinished search lacks; "" of one that is finished."""
    ended = ending.count("done") + ending.count("stopped")
    under_way, failed = ending.count("running"), ending.count("failed")
    parts = [f"{ended} of {asked.trials} trials have ended"] if ended < asked.trials else []
    parts += [f"{under_way} {'is' if under_way == 1 else 'are'} under way or broken off"] if under_way else []
    parts += [f"{failed} failed"] if failed else []
    return "; ".join(parts)


def _domain(domain: Any) -> str:
    plain = domain.model_dump(mode="json", exclude={"when"}, exclude_none=True)
    if "choice" in plain:
        return " | ".join(short(worded(value)) for value in plain["choice"])
    name = next(iter(plain))
    low, high = plain[name]
    step = plain.get("step")
    return f"{name} {low:g} … {high:g}" + (f" in steps of {step:g}" if step and step != 1 else "")


def _when(domain: Any) -> str:
    return "; ".join(f"{path} is {' or '.join(map(worded, values))}" for path, values in domain.when.items())
