"""What commands that run stages have in common: assets first, a pool, what signals do, how it is shown and written down."""

from __future__ import annotations

import _thread
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.markup import escape

from cluster.display import Display
from cluster.errors import from_record
from cluster.job import Job
from cluster.journal import Journal
from cluster.monitor import JsonLines, Lines, Monitor
from cluster.pool import InlinePool, Pool
from cluster.scheduler import Scheduler, Summary
from cluster.screen import aside, screen
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.commands.fetch import ensure
from w2s.cost import Rates
from w2s.recipe import Recipe

NOISE = "driver.log"  # beside the stages' logs
STOPPING = "stopping: running stages save where they are (again to leave at once)"


@dataclass(frozen=True)
class Choices:
    """The flags of a command that runs stages."""

    store: str = "store"
    pool: str = "ray"
    ray_address: str | None = None
    dashboard: bool = False
    plain: bool = False
    quiet: bool = False
    json: bool = False


def fetch(recipe: Recipe, stages: Sequence[Any], choices: Choices) -> None:
    """Data and models first: a missing package should stop a run before anything has started, and so should a wrong model."""
    console = show.console(err=True)
    quiet = choices.quiet or choices.json
    with console.status("fetching") as status:
        for _ in ensure(recipe, stages, lambda text: None if quiet else status.update(f"fetching {escape(text)}")):
            pass
    recipe.check()  # once more: models that were not here have a config now


@contextmanager
def pool_of(
    store: Store, choices: Choices, monitor: Monitor, preload: Sequence[str] = bridge.PRELOAD
) -> Iterator[Pool]:
    """The place where stages run, and with Ray the cluster around it; what is going on is told by the monitor from here on.

    `preload` names modules that warm workers load once.
    """
    if choices.pool == "inline":
        with monitor:
            yield InlinePool(store.url)
        return
    doing = "starting Ray" if choices.ray_address is None else f"joining Ray at {choices.ray_address}"
    # Ray and what it loads print of their own accord, into our streams
    with aside(store.logs / NOISE), monitor:
        from cluster import ray_pool

        try:
            with monitor.doing(doing):
                ray_pool.connect(choices.ray_address, dashboard=choices.dashboard)
                pool = ray_pool.RayPool(store.url, preload)
            try:
                yield pool
            finally:
                pool.close()
        finally:
            ray_pool.disconnect()


@contextmanager
def signals(scheduler: Scheduler, monitor: Monitor) -> Iterator[None]:
    """Ctrl-C or SIGTERM once: save and leave. Twice: leave. SIGUSR1 is a batch system's notice: save and leave, however often."""
    asked = 0

    def handle(number: int, frame: object) -> None:
        nonlocal asked
        asked += number != signal.SIGUSR1
        if asked > 1:
            raise KeyboardInterrupt
        monitor.announce(STOPPING)
        monitor.doing_now = STOPPING
        scheduler.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def monitor_of(jobs: Mapping[str, Job], choices: Choices) -> Monitor:
    """How what happens is shown."""
    out = screen()
    if choices.json:
        return JsonLines(jobs, out)
    if choices.quiet:
        return Monitor(jobs, out)
    # an inline stage prints into this very process: a picture would be torn
    if choices.plain or not show.console(err=True).is_terminal or choices.pool == "inline":
        return Lines(jobs, out)
    return Display(jobs, out)


def journal_of(store: Store, recipe: Recipe, monitor: Monitor) -> Journal:
    """What a run writes down for `w2s status`, and how it hears of `w2s cancel`."""

    def expect() -> dict[str, float]:
        stages = recipe.graph()
        rates = Rates(store, stages.values())
        rough = {key: rates.seconds(stage) for key, stage in stages.items()}
        return {key: seconds for key, seconds in rough.items() if seconds is not None}

    return Journal(store, recipe.name, monitor, expect=expect, ask_to_stop=_as_if_signalled)


def plain_journal(store: Store, name: str, monitor: Monitor) -> Journal:
    """The same for what is no recipe, and of whose length nothing is known."""
    return Journal(store, name, monitor, ask_to_stop=_as_if_signalled)


def _as_if_signalled() -> bool:
    """Do what SIGUSR1 does, in the main thread: pools are not made to be stopped from another. False before anybody listens."""
    listens = callable(signal.getsignal(signal.SIGUSR1))
    _thread.interrupt_main(signal.SIGUSR1)
    return listens


def say_failures(summary: Summary, store: Store) -> None:
    """What failed and where its log is, each reason once; and that the same command goes on."""
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
