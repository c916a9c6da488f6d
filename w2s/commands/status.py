"""`w2s status`: where jobs are, and of a recipe each stage: there, running (by whom), or missing."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.errors import BadInput
from cluster.monitor import clock
from cluster.store import Store
from cluster.submit.overview import JobView
from w2s import bridge
from w2s.commands import jobs_shown, show
from w2s.commands.jobs_found import Jobs, job, recipe_file
from w2s.load import load
from w2s.recipe import Recipe

FOLLOW_S = 2.0


@dataclass(frozen=True)
class Asked:
    """The flags of `w2s status`."""

    everything: bool = False
    follow: bool = False
    json: bool = False


@dataclass(frozen=True)
class Page:
    """What is shown at one moment: for programs, for people, and what `--follow` compares."""

    views: Sequence[JobView]
    document: dict[str, Any]
    picture: RenderableType
    over: bool
    lines: dict[str, str] = field(default_factory=dict)


def status(target: str | None, overrides: Sequence[str], store_url: str, asked: Asked) -> None:
    """Print where things are. Raises BadInput for what is neither a job nor a recipe."""
    is_recipe = target is not None and "=" not in target and recipe_file(target) is not None
    recipe = load(target, overrides) if target is not None and is_recipe else None
    changes = [target, *overrides] if target is not None and "=" in target else overrides
    if recipe is None and changes:
        raise BadInput(f"'{changes[0]}'", "changes a recipe, and none was named", "w2s status RECIPE KEY=VALUE")
    jobs = Jobs(Store.open(store_url, create=False))
    page = _page_of(target, recipe, jobs, everything=asked.everything)
    if asked.follow:
        with contextlib.suppress(KeyboardInterrupt):  # what is followed goes on without us
            _follow(page, asked)
    elif asked.json:
        show.as_json(page().document)
    else:
        show.console().print(page().picture)


def _page_of(target: str | None, recipe: Recipe | None, jobs: Jobs, *, everything: bool) -> Callable[[], Page]:
    if target is None:
        return lambda: _overview(jobs, everything=everything)
    if recipe is not None:
        return lambda: _recipe_page(target, recipe, jobs)
    found = job(jobs.store, target)
    return lambda: _job_page(jobs.one(found), jobs)


def _overview(jobs: Jobs, *, everything: bool) -> Page:
    views, others = (jobs.all(), 0) if everything else jobs.recent()
    document = {"store": jobs.store.url, "jobs": [jobs_shown.as_dict(view, jobs.output(view)) for view in views]}
    parts: list[RenderableType] = [jobs_shown.table(views) if views else Text("no jobs")]
    if others:
        parts.append(Text(f"{others} that were over a day ago are left out (--all)", style="dim"))
    return _page(views, {**document, "older": others, "notes": jobs.notes}, [*parts, *_notes(jobs)])


def _job_page(view: JobView, jobs: Jobs) -> Page:
    output = jobs.output(view)
    lines = jobs_shown.details(view, jobs.store, output)
    document = {"store": jobs.store.url, **jobs_shown.as_dict(view, output)}
    document["notes"] = [*view.notes, *jobs.notes]
    return _page([view], document, [Text("\n".join(lines)), *_notes(jobs)])


def _recipe_page(reference: str, recipe: Recipe, jobs: Jobs) -> Page:
    rows = _stages(recipe, jobs.store)
    views = jobs.at_recipe(reference, recipe.name)
    document = {"recipe": recipe.name, "store": jobs.store.url, "stages": rows}
    document["jobs"] = [jobs_shown.as_dict(view, jobs.output(view)) for view in views]
    counts = Counter(str(row["state"]) for row in rows)
    summary = f"{recipe.name}: " + ", ".join(f"{count} {state}" for state, count in counts.items())
    parts: list[RenderableType] = [_stage_table(rows), Text(f"\n{summary}")]
    parts += [Text(""), jobs_shown.table(views)] if views else []
    complete = set(counts) == {"done"}
    page = _page(views, {**document, "notes": jobs.notes}, [*parts, *_notes(jobs)], summary)
    return page if not complete else Page(page.views, page.document, page.picture, True, page.lines)


def _page(
    views: Sequence[JobView], document: dict[str, Any], parts: Sequence[RenderableType], summary: str = ""
) -> Page:
    lines = jobs_shown.changes(views) | ({"": summary} if summary else {})
    return Page(views, document, Group(*parts), all(view.over for view in views), lines)


def _notes(jobs: Jobs) -> list[RenderableType]:
    return [Text(f"note: {note}", style="yellow") for note in jobs.notes]


def _follow(page: Callable[[], Page], asked: Asked) -> None:
    """Again and again until all is over: a picture on a terminal, else a line for whatever has changed."""
    console = show.console()
    if console.is_terminal and not asked.json:
        shown = page()
        with Live(shown.picture, console=console, auto_refresh=False) as live:
            while not shown.over:
                time.sleep(FOLLOW_S)
                shown = page()
                live.update(shown.picture, refresh=True)
        return
    told: dict[str, str] = {}
    while True:
        shown = page()
        if shown.lines != told:
            _say_changes(shown, told, as_json=asked.json)
            told = shown.lines
        if shown.over:
            return
        time.sleep(FOLLOW_S)


def _say_changes(page: Page, told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(page.document, default=str) + "\n")
    else:
        for name, line in page.lines.items():
            if told.get(name) != line:
                sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def _stages(recipe: Recipe, store: Store) -> list[dict[str, object]]:
    leases = store.leases()
    rows = []
    for key, stage in bridge.jobs(recipe).items():
        row: dict[str, object] = {"key": key, "name": stage.name, "state": "missing"}
        if store.has(key):
            receipt = store.receipt(key)
            row |= {"state": "done", "seconds": receipt.seconds, "host": receipt.hardware.get("hostname")}
        elif leases.held(key):
            row |= {"state": "running", "holder": str(leases.holder(key))}
        rows.append(row)
    return rows


def _stage_table(rows: Sequence[dict[str, object]]) -> Table:
    table = Table("stage", "key", "state", "", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        colour = {"done": "green", "running": "cyan"}.get(str(row["state"]), "yellow")
        detail = clock(float(str(row["seconds"]))) if "seconds" in row else str(row.get("holder", ""))
        table.add_row(escape(str(row["name"])), str(row["key"])[:10], f"[{colour}]{row['state']}[/]", escape(detail))
    return table
