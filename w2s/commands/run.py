"""`w2s run`: do what is missing, then print the table and say where everything is."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from rich.markup import escape

from cluster.errors import EXIT_OK
from cluster.job import Job
from cluster.monitor import Display, JsonLines, Lines, Monitor, clock
from cluster.pool import InlinePool, Pool
from cluster.scheduler import Scheduler, Summary, needed
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.commands.fetch import ensure
from w2s.commands.report import publish
from w2s.load import load
from w2s.recipe import Recipe


@dataclass(frozen=True)
class Choices:
    """The flags of `w2s run`."""

    store: str = "store"
    pool: str = "ray"
    ray_address: str | None = None
    dashboard: bool = False
    plain: bool = False
    quiet: bool = False
    json: bool = False


def run(reference: str, overrides: Sequence[str], choices: Choices) -> int:
    """Run a recipe. Returns the exit code."""
    recipe = load(reference, overrides)
    store = Store.open(choices.store)
    jobs = bridge.jobs(recipe)
    goals = list(dict.fromkeys(stage.key for stage in recipe.goals()))
    monitor = _monitor(jobs, choices)
    states = needed(jobs, goals, store)
    todo = {key for key, state in states.items() if state == "waiting"}
    if todo:
        graph = recipe.graph()
        _fetch(recipe, [graph[key] for key in todo], choices)
        with redirect_stdout(sys.stderr):  # Ray prints of its own accord; stdout is for the result alone
            summary = _drive(jobs, goals, store, monitor, choices)
    else:
        summary = Summary(states)
    _close(recipe, store, summary, monitor, choices)
    return summary.exit_code


def _fetch(recipe: Recipe, stages: Sequence[Any], choices: Choices) -> None:
    """Data and models first: a missing package should stop a run before anything has started."""
    console = show.console(err=True)
    quiet = choices.quiet or choices.json
    with console.status("fetching") as status:
        for _ in ensure(recipe, stages, lambda text: None if quiet else status.update(f"fetching {escape(text)}")):
            pass


def _drive(jobs: Mapping[str, Job], goals: Sequence[str], store: Store, monitor: Monitor, choices: Choices) -> Summary:
    with _pool(store, choices) as pool, store.leases() as leases, monitor:
        scheduler = Scheduler(store, pool, leases, monitor)
        with _signals(scheduler):
            return scheduler.run(jobs, goals)


@contextmanager
def _pool(store: Store, choices: Choices) -> Iterator[Pool]:
    if choices.pool == "inline":
        yield InlinePool(store.url)
        return
    from cluster import ray_pool

    doing = "starting Ray" if choices.ray_address is None else f"joining Ray at {choices.ray_address}"
    try:
        with show.console(err=True).status(doing):
            ray_pool.connect(choices.ray_address, dashboard=choices.dashboard)
            pool = ray_pool.RayPool(store.url, bridge.PRELOAD)
        try:
            yield pool
        finally:
            pool.close()
    finally:
        ray_pool.disconnect()


@contextmanager
def _signals(scheduler: Scheduler) -> Iterator[None]:
    """Ctrl-C or SIGTERM once: save and leave. Twice: leave. SIGUSR1 is a batch system's notice: save and leave, however often."""
    asked = 0
    out = sys.stderr  # an inline stage has its own while it runs, and the user must still hear us

    def handle(number: int, frame: object) -> None:
        nonlocal asked
        asked += number != signal.SIGUSR1
        if asked > 1:
            raise KeyboardInterrupt
        print("stopping: running stages save where they are (again to leave at once)", file=out, flush=True)
        scheduler.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _monitor(jobs: Mapping[str, Job], choices: Choices) -> Monitor:
    console = show.console(err=True)
    if choices.json:
        return JsonLines(jobs)
    if choices.quiet:
        return Monitor(jobs)
    if choices.plain or not console.is_terminal or choices.pool == "inline":
        return Lines(jobs)
    return Display(jobs, console)


def _close(recipe: Recipe, store: Store, summary: Summary, monitor: Monitor, choices: Choices) -> None:
    report, folder = publish(recipe, store)
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
    console.print(f"  {'curves':<12} tensorboard --logdir {store.tensorboard}", markup=False)
    _say_failures(summary, store, choices)


def _elapsed(monitor: Monitor) -> float:
    import time

    return time.monotonic() - monitor.started


def _say_failures(summary: Summary, store: Store, choices: Choices) -> None:
    from cluster.errors import from_record

    console = show.console(err=True)
    logs: dict[str, list[str]] = {}
    for key, ended in summary.failures.items():  # student and ceiling often fail alike: said once
        logs.setdefault(str(from_record(ended.error)), []).append(str(store.log_path(key)))
    for what, places in logs.items():
        console.print(f"failed: {what}", style="red", markup=False)
        for place in places:
            console.print(f"  log: {place}", style="red", markup=False)
    if summary.interrupted:
        console.print("stopped before the end; the same command goes on from here", style="yellow", markup=False)
    elif summary.failures:
        console.print(
            "finished work is kept; after the cause is mended, the same command does what is left", markup=False
        )
