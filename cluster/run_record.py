"""What a run's journal file says, and whether the driver that wrote it still lives: the reading side of `journal`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cluster.disk import told
from cluster.errors import BadInput, Problem
from cluster.files import Files, LocalFiles, shown
from cluster.lease_record import Owner, gone

FORMAT = 1
FOLDER = "runs"
KEPT = 200  # finished runs whose journals stay
SLACK = 50  # so many more before anything is removed
HEARTBEAT_S = 15.0
SILENT_S = 8 * HEARTBEAT_S  # machines' clocks differ by seconds; by then a driver elsewhere is taken for dead

RunState = Literal["running", "done", "failed", "stopped"]
STATES: tuple[RunState, ...] = ("running", "done", "failed", "stopped")


@dataclass(frozen=True)
class Place:
    """Which driver of an order a run is."""

    id: str
    element: int
    command: int


@dataclass(frozen=True)
class Run:
    """A run. Times are seconds since the epoch by the driver's clock; what is not known is None.

    `stages` has total, cached, done and failed; `running` a mapping for each stage at work (key, name, device, host, since,
    done, total, unit, scalars); `failures` key, name and error of each that failed. `problem` is what ended the driver
    itself. `settled` counts the stages that this and earlier attempts of the same driver finished, `reached` gives the fraction
    that unfinished ones got to, by key; `progress` is all of that together. It grows as long as anything is achieved, over all
    attempts of a driver, and is only ever compared with itself.
    """

    id: str
    recipe: str
    argv: tuple[str, ...]
    state: RunState
    owner: dict[str, Any]
    started: float
    updated: float
    stages: dict[str, int]
    running: tuple[dict[str, Any], ...] = ()
    failures: tuple[dict[str, Any], ...] = ()
    problem: dict[str, str] | None = None
    order: Place | None = None
    exit_code: int | None = None
    eta_s: float | None = None
    settled: float = 0.0
    reached: dict[str, float] = field(default_factory=dict)
    progress: float = 0.0
    format: int = field(default=FORMAT)

    @property
    def host(self) -> str:
        return str(self.owner.get("host", "?"))

    @property
    def pid(self) -> int:
        return int(self.owner.get("pid", 0))

    def to_bytes(self) -> bytes:
        return (json.dumps(asdict(self), indent=1, default=str) + "\n").encode()

    @classmethod
    def from_bytes(cls, raw: bytes, where: str) -> Run:
        """The inverse of `to_bytes`. Raises BadInput, naming `where`, for a newer format or what is no journal."""
        try:
            fields: dict[str, Any] = json.loads(raw)
            if int(fields["format"]) > FORMAT:
                what = f"has format {fields['format']}; this program reads up to {FORMAT}"
                raise BadInput(where, what, "upgrade w2s")
            order = fields.get("order")
            fields["order"] = Place(str(order["id"]), int(order["element"]), int(order["command"])) if order else None
            for name in ("argv", "running", "failures"):
                fields[name] = tuple(fields[name])
            run = cls(**{name: value for name, value in fields.items() if name in cls.__dataclass_fields__})
            _check(run)
            return run
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(
                where, f"is no journal of a run: {error}", "remove the file; results do not need it"
            ) from None


def _check(run: Run) -> None:
    """Raise ValueError or TypeError where a field is not of the kind that readers rely on."""
    if run.state not in STATES:
        raise ValueError(f"'{run.state}' is no state")
    float(run.started), float(run.updated), run.pid, float(run.progress), float(run.settled)
    sum(run.reached.values())
    for name in ("total", "cached", "done", "failed"):
        int(run.stages[name])
    for stage in (*run.running, *run.failures):
        if not isinstance(stage["key"], str) or not isinstance(stage["name"], str):
            raise TypeError("a stage has no name")


def read_runs(files: Files, tell: Callable[[Problem], object] = lambda problem: None) -> list[Run]:
    """The runs of a store, newest first. `tell` hears of each journal that cannot be read."""
    found = []
    where = shown(files.url)
    with told(f"store {where}", where, remote=not isinstance(files, LocalFiles)):
        for name in files.names(FOLDER):
            if not name.endswith(".json"):
                continue
            try:
                found.append(Run.from_bytes(files.read(f"{FOLDER}/{name}"), f"{where}/{FOLDER}/{name}"))
            except FileNotFoundError:  # pruned since the listing
                continue
            except BadInput as problem:
                tell(problem)
    return sorted(found, key=lambda run: run.started, reverse=True)


def is_alive(run: Run) -> bool:
    """Whether the driver still works.

    Of a process of this machine that is known; of any other, by how long ago it was heard of.
    """
    if run.state != "running":
        return False
    owner = _owner_of(run)
    if owner is not None and is_here(run):
        return not gone(owner)
    return time.time() - run.updated < SILENT_S


def is_here(run: Run) -> bool:
    """Whether the driver is, or was, a process of this machine that this process could see."""
    owner, here = _owner_of(run), Owner.here()
    return owner is not None and bool(owner.boot) and (owner.host, owner.boot) == (here.host, here.boot)


def _owner_of(run: Run) -> Owner | None:
    """The process that drives a run; None where the journal does not say it well enough."""
    try:
        facts = run.owner
        return Owner("", str(facts["host"]), str(facts["boot"]), int(facts["pid"]), facts["process_start"])
    except (KeyError, TypeError, ValueError):
        return None


def file_name(identity: str) -> str:
    """A run's journal, relative to the store."""
    return f"{FOLDER}/{identity}.json"


def stop_name(identity: str) -> str:
    """The file whose presence asks a run to save and leave, relative to the store."""
    return f"{FOLDER}/{identity}.stop"


def prune(files: Files) -> None:
    """Remove the oldest journals of runs that are over, so that about `KEPT` of them stay."""
    names = [name for name in files.names(FOLDER) if name.endswith(".json")]
    if len(names) <= KEPT + SLACK:
        return
    over = [run for run in read_runs(files) if not is_alive(run)]
    for run in over[KEPT:]:
        with contextlib.suppress(FileNotFoundError):
            files.remove(stop_name(run.id))
            files.remove(file_name(run.id))
