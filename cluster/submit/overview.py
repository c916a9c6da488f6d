"""Where jobs are, all told: what the batch system says, what the drivers' journals say, and what became of the attempts.

An order and a local run become the same thing here, a `JobView`, so that they are shown and followed alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from cluster.errors import EXIT_AGAIN, EXIT_OK, Problem
from cluster.run_record import Run, is_alive
from cluster.submit.handover import batch_system
from cluster.submit.live import Live
from cluster.submit.records import Happening, Record, Tell, drivers, happenings, quiet

JobState = Literal["pending", "running", "done", "failed", "cancelled", "stopped", "gone", "unknown"]
"""As `Live`'s; stopped: saved and left, the same command goes on; gone: the driver died without a word."""

OVER = ("done", "failed", "cancelled", "stopped", "gone")
WORST_FIRST: tuple[JobState, ...] = ("running", "pending", "unknown", "failed", "gone", "cancelled", "stopped", "done")
ASKED_AT_ONCE = 8

Look = Callable[[Record], "Told"]


@dataclass(frozen=True)
class Told:
    """A batch system's answer; without one, `note` says why."""

    elements: tuple[Live, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ElementView:
    """One element of a job. `drivers` are its drivers' newest journals; those of a job that waits again are of its last attempt."""

    number: int
    names: tuple[str, ...]
    state: JobState
    told: str = ""
    why: str = ""
    nodes: tuple[str, ...] = ()
    started: float | None = None
    ended: float | None = None
    time_left_s: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    drivers: tuple[Run, ...] = ()
    attempts: tuple[Happening, ...] = ()

    @property
    def alive(self) -> tuple[Run, ...]:
        return tuple(run for run in self.drivers if self.state == "running" and is_alive(run))

    @property
    def eta_s(self) -> float | None:
        """Seconds until the last of its drivers is done, by their own estimates; None where one has none."""
        left = [run.eta_s for run in self.alive]
        known = [seconds for seconds in left if seconds is not None]
        return max(known) if known and len(known) == len(left) else None


@dataclass(frozen=True)
class JobView:
    """A job: `system` slurm or ray for an order, local for a run that somebody started by hand."""

    id: str
    system: Literal["slurm", "ray", "local"]
    handle: str  # a Slurm job's number, a Ray submission's id, a process
    where: str  # a Ray cluster's address, a host
    recipe: str
    since: float | None
    elements: tuple[ElementView, ...]
    notes: tuple[str, ...] = ()

    @property
    def state(self) -> JobState:
        """Of the whole: running while any element runs, done when all are."""
        states = {element.state for element in self.elements}
        return next((state for state in WORST_FIRST if state in states), "unknown")

    @property
    def over(self) -> bool:
        return all(element.state in OVER for element in self.elements)

    @property
    def ended(self) -> float | None:
        """When the last of it ended, in seconds since the epoch; None while it is not over, or where nobody knows."""
        times = [element.ended for element in self.elements if element.ended is not None]
        return max(times) if self.over and times else None

    @property
    def stages(self) -> dict[str, int]:
        """Total, cached, done and failed stages of all drivers heard of."""
        runs = [run for element in self.elements for run in element.drivers]
        return {name: sum(int(run.stages[name]) for run in runs) for name in ("total", "cached", "done", "failed")}

    @property
    def eta_s(self) -> float | None:
        left = [element.eta_s for element in self.elements if element.state == "running"]
        known = [seconds for seconds in left if seconds is not None]
        return max(known) if known and len(known) == len(left) else None


def ask(record: Record) -> Told:
    """Ask the order's batch system. Never raises a Problem: what it cannot be asked for here is told as a note."""
    if record.placed is None:
        return Told(note="it was never handed over: submit it again")
    try:
        return Told(tuple(batch_system(record.order.backend).look(record.order, record.placed)))
    except Problem as problem:
        return Told(note=f"what is below is from its records alone: {problem}")
    except ImportError as error:
        return Told(note=f"what is below is from its records alone: {error}")


def of_orders(records: Sequence[Record], runs: Sequence[Run], look: Look = ask, tell: Tell = quiet) -> list[JobView]:
    """All orders; their batch systems are asked at the same time."""
    if not records:
        return []
    with ThreadPoolExecutor(min(ASKED_AT_ONCE, len(records))) as threads:
        told = list(threads.map(look, records))
    return [of_order(record, runs, one, tell) for record, one in zip(records, told, strict=True)]


def of_order(record: Record, runs: Sequence[Run], told: Told, tell: Tell = quiet) -> JobView:
    """An order, with what its batch system told of it."""
    order, lives = record.order, {live.element: live for live in told.elements}
    elements = []
    for number, commands in enumerate(order.elements):
        own, attempts = drivers(order, runs, number), happenings(order, number, tell)
        names = tuple(command.name for command in commands)
        elements.append(_element(number, names, lives.get(number), own, attempts))
    handle, where = (record.placed.handle, record.placed.where) if record.placed else ("", "")
    notes = (told.note,) if told.note else ()
    return JobView(order.id, order.backend, handle, where, order.recipe, record.since, tuple(elements), notes)


def _element(
    number: int, names: tuple[str, ...], live: Live | None, own: Sequence[Run], attempts: Sequence[Happening]
) -> ElementView:
    live = live or Live(number, "unknown")
    state: JobState = live.state
    exit_code, ended = live.exit_code, live.ended
    if live.state == "unknown":
        state, exit_code = _by_records(own, attempts)
    if state in OVER and ended is None:
        ended = max([happening.time for happening in attempts] + [run.updated for run in own], default=None)
    up = [happening.nodes for happening in attempts if happening.nodes]
    begun = [happening.time for happening in attempts if happening.what == "begun"] or [run.started for run in own]
    return ElementView(
        number, names, state, live.told, live.why, live.nodes or (up[-1] if up else ()),
        live.started or min(begun, default=None), ended, live.time_left_s, live.restarts, exit_code, tuple(own), tuple(attempts),
    )  # fmt: skip


def _by_records(own: Sequence[Run], attempts: Sequence[Happening]) -> tuple[JobState, int | None]:
    """An element's state and exit code where its batch system tells nothing."""
    if any(is_alive(run) for run in own):
        return "running", None
    last = attempts[-1] if attempts else None
    if last is not None and last.what == "ended" and last.exit_code is not None:
        return _ended(last.exit_code), last.exit_code
    if last is None and own:
        states = [view_state(run) for run in own]
        worst = next(state for state in WORST_FIRST if state in states)
        return worst, next((run.exit_code for run in own if view_state(run) == worst), None)
    return "unknown", None


def _ended(exit_code: int) -> JobState:
    return "done" if exit_code == EXIT_OK else "stopped" if exit_code == EXIT_AGAIN else "failed"


def view_state(run: Run) -> JobState:
    """A driver's state: what its journal says, or that the driver is gone."""
    return "gone" if run.state == "running" and not is_alive(run) else run.state


def of_run(run: Run) -> JobView:
    """A run that somebody started by hand."""
    state = view_state(run)
    why = "its driver ended without a word; the same command goes on" if state == "gone" else ""
    ended = None if state == "running" else run.updated
    element = ElementView(
        0, (run.recipe,), state, why=why, nodes=(run.host,), started=run.started, ended=ended, exit_code=run.exit_code,
        drivers=(run,),
    )  # fmt: skip
    return JobView(run.id, "local", f"pid {run.pid}", run.host, run.recipe, run.started, (element,))
