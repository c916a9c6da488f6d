"""`w2s run`: do what is missing, then print the table and say where everything is."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout

from cluster.errors import EXIT_OK
from cluster.job import Job
from cluster.journal import Journal
from cluster.monitor import Monitor, clock
from cluster.scheduler import Scheduler, Summary, needed
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.commands.at_work import Choices, fetch, journal_of, monitor_of, pool_of, say_failures, signals
from w2s.commands.board import refresh
from w2s.commands.report import Published, draw, publish
from w2s.load import read
from w2s.recipe import Recipe
from w2s.report.wanted import LastRun, Wanted


def run(reference: str, overrides: Sequence[str], choices: Choices) -> int:
    """Run a recipe. Returns the exit code."""
    written = read(reference, overrides)
    recipe = written.recipe
    if recipe.search is not None and not (choices.quiet or choices.json):
        note = "note: the recipe is run as it is written; `w2s tune` does its search"
        show.console(err=True).print(note, markup=False)
    store = Store.open(choices.store)
    jobs = bridge.jobs(recipe)
    goals = list(dict.fromkeys(stage.key for stage in recipe.goals()))
    monitor = monitor_of(jobs, choices)
    states = needed(jobs, goals, store)
    todo = {key for key, state in states.items() if state == "waiting"}
    with journal_of(store, recipe, monitor) as journal:
        if todo:
            journal.follow(jobs)
            journal.begin()
            graph = recipe.graph()
            fetch(recipe, [graph[key] for key in todo], choices)
            with redirect_stdout(sys.stderr):  # Ray prints of its own accord; stdout is for the result alone
                summary = _drive(jobs, goals, store, journal, choices)
        else:
            summary = Summary(states)
            journal.all_there(len(states))
        last_run = LastRun(summary.count("cached"), len(summary.states))
        wanted = Wanted(reference, tuple(overrides), written, last_run)
        published = publish(wanted, store, choices.store)
        _close(recipe, published, store, summary, monitor, choices, wanted.command(choices.store, "board"))
        # an interrupted run may have seconds left; one that did nothing has been drawn
        if not summary.interrupted and (todo or not published.page.is_file()):
            _draw(wanted, published, store, choices)
        journal.end(summary.exit_code)
    return summary.exit_code


def _draw(wanted: Wanted, published: Published, store: Store, choices: Choices) -> None:
    console = show.console(err=True)
    with console.status("drawing the report"):
        complaints = [draw(wanted, published, store, choices.store), refresh(wanted.written.recipe, store)]
    for complaint in filter(None, complaints):
        console.print(complaint, style="yellow", markup=False)


def _drive(jobs: Mapping[str, Job], goals: Sequence[str], store: Store, journal: Journal, choices: Choices) -> Summary:
    with pool_of(store, choices, journal.monitor) as pool, store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, journal)
        with signals(scheduler, journal.monitor):
            return scheduler.run(jobs, goals)


def _close(
    recipe: Recipe,
    published: Published,
    store: Store,
    summary: Summary,
    monitor: Monitor,
    choices: Choices,
    board: str,
) -> None:
    report, folder = published.value, published.folder
    code = summary.exit_code
    if choices.json:
        from w2s.report import render

        counts = {state: summary.count(state) for state in dict.fromkeys(summary.states.values())}
        failures = [{"key": ended.key, **ended.error} for ended in summary.failures.values()]
        show.as_json({
            "recipe": recipe.name, "exit_code": code, "stages": counts, "failures": failures, "store": store.url,
            "report": str(folder), "tensorboard": str(store.tensorboard), "results": render.as_dict(report),
        })  # fmt: skip
        return
    from w2s.report import render

    console = show.console()
    render.terminal(report, console)
    if choices.quiet and code == EXIT_OK:
        return
    done, cached = summary.count("done"), summary.count("cached")
    console.print(f"\n{done} stages run, {cached} from the store, in {clock(_elapsed(monitor))}", markup=False)
    for what, place in (
        ("report", folder),
        ("store", store.url),
        ("logs", store.logs),
        ("tensorboard", store.tensorboard),
    ):
        console.print(f"  {what:<12} {place}", markup=False)
    console.print(f"  {'curves':<12} {board}", markup=False)
    say_failures(summary, store)


def _elapsed(monitor: Monitor) -> float:
    import time

    return time.monotonic() - monitor.started
