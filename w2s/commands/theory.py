"""`w2s theory cnn | misfit`: run what is missing of a bench, then say what theory says, what was seen, and where the figures are."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cluster.errors import EXIT_OK, BadInput
from cluster.job import Job
from cluster.journal import Journal
from cluster.key import content_key
from cluster.monitor import clock
from cluster.scheduler import Scheduler, Summary, needed
from cluster.store import Store
from w2s.bench_theory.asked import changed
from w2s.bench_theory.claims import HEAD, counted
from w2s.bench_theory.simulation import Simulation, job
from w2s.commands import show
from w2s.commands.at_work import Choices, monitor_of, plain_journal, pool_of, say_failures, signals
from w2s.config import Config

if TYPE_CHECKING:
    from w2s.bench_theory.page import Told


@dataclass(frozen=True)
class Asked:
    """What of a bench: so many `seeds` (None: the bench's own), with its `sweep`, figures into `out` (None: beside the store)."""

    changes: tuple[str, ...] = ()
    seeds: int | None = None
    sweep: bool = False
    out: Path | None = None


@dataclass(frozen=True)
class Bench:
    """A bench as this command knows it: its settings, its simulations, and what to make of them once they are there."""

    name: str
    settings: Config
    stages: list[Simulation]
    tell: Callable[[Store, str], Told]
    preload: tuple[str, ...]


def theory(name: str, asked: Asked, choices: Choices) -> int:
    """Run a bench. Returns the exit code: that of the simulations, whatever the claims are."""
    bench = {"cnn": _cnn, "misfit": _misfit}[name](asked)
    if asked.out is not None and asked.out.exists() and not asked.out.is_dir():
        raise BadInput(f"--out {asked.out}", "is a file", "name a folder, which is made if it is not there")
    store = Store.open(choices.store)
    jobs = {stage.key: job(stage) for stage in bench.stages}
    states = needed(jobs, jobs, store)
    monitor = monitor_of(jobs, choices)
    with plain_journal(store, f"theory {name}", monitor) as journal:
        if "waiting" in states.values():
            journal.follow(jobs)
            journal.begin()
            with redirect_stdout(sys.stderr):  # Ray prints of its own accord; stdout is for the result alone
                summary = _drive(jobs, store, journal, choices, bench.preload)
        else:
            summary = Summary(states)
            journal.all_there(len(states))
        code = summary.exit_code
        if code == EXIT_OK:
            _close(bench, asked, store, summary, journal, choices)
        else:
            _close_unfinished(summary, store, choices)
        journal.end(code)
    return code


def _cnn(asked: Asked) -> Bench:
    from w2s.bench_theory.cnn import config, told

    own = config.Bench()
    settings = changed(config.fine(own) if asked.sweep else own, _changes(asked))
    preload = ("w2s.bench_theory.cnn.work",)
    return Bench(
        "cnn", settings, [*settings.stages()], lambda store, command: told.tell(settings, store, command), preload
    )


def _misfit(asked: Asked) -> Bench:
    from w2s.bench_theory.misfit import config, told

    own = config.Bench(sweep=config.Sweep() if asked.sweep else None)
    settings = changed(own, _changes(asked))
    preload = ("w2s.bench_theory.misfit.work", "w2s.bench_theory.misfit.representations")
    return Bench(
        "misfit", settings, settings.stages(), lambda store, command: told.tell(settings, store, command), preload
    )


def _changes(asked: Asked) -> list[str]:
    """What is written out last counts."""
    seeds = [] if asked.seeds is None else [f"seeds={list(range(asked.seeds))}"]
    return [*seeds, *asked.changes]


def _drive(jobs: dict[str, Job], store: Store, journal: Journal, choices: Choices, preload: Sequence[str]) -> Summary:
    with pool_of(store, choices, journal.monitor, preload) as pool, store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, journal)
        with signals(scheduler, journal.monitor):
            # the last goal is taken up first, and the bench names the long ones first: they should not be left for the end
            return scheduler.run(jobs, list(reversed(jobs)))


def _close(bench: Bench, asked: Asked, store: Store, summary: Summary, journal: Journal, choices: Choices) -> None:
    from w2s.bench_theory.page import write

    command = ["w2s", "theory", bench.name, *asked.changes]
    command += [] if asked.seeds is None else ["--seeds", str(asked.seeds)]
    command += ["--sweep"] if asked.sweep else []
    found = bench.tell(store, shlex.join([*command, "--store", choices.store]))
    folder = asked.out or store.reports / f"theory-{bench.name}-{content_key(bench.settings.dump())[:8]}"
    page = write(found, folder)
    done, cached = summary.count("done"), summary.count("cached")
    if choices.json:
        show.as_json({
            "bench": bench.name, "exit_code": EXIT_OK, "stages": {"done": done, "cached": cached}, "store": store.url,
            "folder": str(folder), "page": str(page), "claims": [claim.to_json() for claim in found.claims],
            "settings": bench.settings.dump(),
        })  # fmt: skip
        return
    console = show.console()
    table = Table(title=found.title, title_justify="left")
    for column in HEAD:
        table.add_column(column, overflow="fold")
    for claim in found.claims:
        table.add_row(*map(escape, claim.row()), style="red" if claim.holds is False else None)
    console.print(table, soft_wrap=False)
    console.print(counted(found.claims), markup=False)
    if not choices.quiet:
        took = clock(_elapsed(journal))
        console.print(f"\n{done} simulations run, {cached} from the store, in {took}", markup=False)
        console.print(f"  {'page':<12} {page}\n  {'store':<12} {store.url}", markup=False)


def _close_unfinished(summary: Summary, store: Store, choices: Choices) -> None:
    if choices.json:
        failures = [{"key": ended.key, **ended.error} for ended in summary.failures.values()]
        show.as_json({"exit_code": summary.exit_code, "failures": failures, "store": store.url})
        return
    say_failures(summary, store)


def _elapsed(journal: Journal) -> float:
    import time

    return time.monotonic() - journal.monitor.started
