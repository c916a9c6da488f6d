"""The journal of a driver: what it does, written where every machine that sees the store can read it.

    runs/<id>.json      in the store: who drives, how many stages are there, what runs, what failed, how long it may still take
    runs/<id>.stop      whoever writes this asks the driver to save and leave

A driver inside an order (see `cluster/submit`) writes the same into the file that W2S_JOURNAL names. A journal never fails
a run: where it cannot be written, that is told once.
"""

from __future__ import annotations

import contextlib
import getpass
import math
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster.errors import EXIT_AGAIN, EXIT_OK, EXIT_STAGE, BadInput, Problem
from cluster.eta import eta_s
from cluster.events import Event
from cluster.files import LocalFiles, shown
from cluster.job import Job
from cluster.lease_record import Owner
from cluster.monitor import Monitor
from cluster.run_record import (
    HEARTBEAT_S,
    Place,
    Run,
    RunState,
    file_name,
    is_alive,
    prune,
    read_runs,
    stop_name,
)
from cluster.store import Store
from cluster.submit.order import checked_id
from cluster.tally import Tally

__all__ = ["Journal", "Run", "is_alive", "read_runs"]

EVERY_S = 2.0
GOODBYE_S = 10.0  # a filesystem that hangs may not keep a finished run from ending
TOLD_FAILURES = 50  # a whole cluster may fail at once

Expect = Callable[[], Mapping[str, float]]


class Journal:
    """A listener that passes everything on to a monitor and keeps the journal. Use as a context manager around a run.

    `expect` gives rough seconds by key of the stages that may run; it is called once, from the journal's own thread.
    `ask_to_stop` is called from there too when somebody wants the run to end, until it returns True: it was heard.
    Nothing is written before something happens (an event, or `begin`), unless the run is part of an order.
    """

    def __init__(
        self,
        store: Store,
        recipe: str,
        monitor: Monitor,
        *,
        expect: Expect = dict,
        ask_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.monitor, self.recipe = monitor, recipe
        self._files, self._expect, self._ask = store.files, expect, ask_to_stop
        self._place = _place()
        self.id = _identity(self._place)
        self._own = os.environ.get("W2S_JOURNAL", "")
        self._tally = Tally({})
        self._expected: Mapping[str, float] = {}
        self._owner = _owner()
        self._earlier = 0.0  # what earlier attempts of the same driver have settled
        self._started = time.time()
        self._lock = threading.Lock()  # of the tally and of what is told
        self._writing = threading.Lock()
        self._changed = self._stopping = self._broken = self._closed = False
        self._complaint = ""
        self._exit_code = EXIT_OK
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- the driver's side

    def __call__(self, event: Event) -> None:
        self.begin()
        with self._lock:
            self._tally.count(event)
            self._changed = True
            complaint, self._complaint = self._complaint, ""
        self.monitor(event)
        if complaint:
            self.monitor(Event("note", data={"text": complaint}))

    def follow(self, jobs: Mapping[str, Job]) -> None:
        """Name stages from here: a graph that grows."""
        self._tally.follow(jobs)
        self.monitor.follow(jobs)

    def all_there(self, count: int) -> None:
        """There was nothing to do: so many stages are in the store."""
        with self._lock:
            self._tally.total = self._tally.cached = count

    def begin(self) -> None:
        """Write from now on. Called again, it does nothing."""
        if self._thread is None:
            self._take_up_earlier()
            self._thread = threading.Thread(target=self._keep, name="journal", daemon=True)
            self._thread.start()

    def end(self, exit_code: int) -> None:
        """How the run ends, if nothing is raised until then."""
        self._exit_code = exit_code

    def __enter__(self) -> Journal:
        if self._own or self._place is not None:
            self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._over.set()
        if self._writing.acquire(timeout=GOODBYE_S):
            try:
                self._write(*_ending(error, self._exit_code))
                self._closed = True
            finally:
                self._writing.release()
            self._forget_stop()
        self._thread.join(EVERY_S)  # it may be at an estimate from a store that is far away

    # ---- the journal's own thread

    def _keep(self) -> None:
        if self._place is not None:
            self._forget_stop()  # meant for an earlier attempt
        self._say_running()
        written = time.monotonic()
        if not self._over.is_set():
            with contextlib.suppress(Exception):  # an estimate: a run can do without
                self._expected = self._expect()
                self.monitor.expected_s = self._expected
            with contextlib.suppress(Exception):
                prune(self._files)
        while not self._over.wait(EVERY_S):
            self._heed()
            if self._changed or time.monotonic() - written >= HEARTBEAT_S:
                self._say_running()
                written = time.monotonic()

    def _heed(self) -> None:
        if self._stopping:
            return
        with contextlib.suppress(Exception):  # a filesystem that is away for a moment is asked again
            if self._files.exists(stop_name(self.id)):
                self._stopping = self._ask()

    def _forget_stop(self) -> None:
        with contextlib.suppress(Exception):
            self._files.remove(stop_name(self.id))

    def _say_running(self) -> None:
        with self._writing:
            if not self._closed:
                self._write("running")

    def _write(self, state: RunState, exit_code: int | None = None, problem: dict[str, str] | None = None) -> None:
        with self._lock:
            self._changed = False
            raw = self._run(state, exit_code, problem).to_bytes()
        places = [(self._files, file_name(self.id))]
        if self._own:
            own = Path(self._own).absolute()
            places.append((LocalFiles(own.parent), own.name))
        for files, name in places:
            try:
                files.replace(name, raw)
            except Exception as error:
                self._complain(f"{shown(files.url)}/{name}", error)

    def _complain(self, where: str, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            self._complaint = f"the run's journal cannot be written ({where}: {error}); `w2s status` will not see it"

    def _run(self, state: RunState, exit_code: int | None, problem: dict[str, str] | None) -> Run:
        tally = self._tally
        stages = {"total": tally.total, "cached": tally.cached, "done": tally.done, "failed": tally.failed}
        settled = self._earlier + tally.done + tally.abandoned
        failures = list(tally.failures.items())[:TOLD_FAILURES]
        left_s = eta_s(tally, self._expected, time.monotonic()) if state == "running" else None
        return Run(
            id=self.id, recipe=self.recipe, argv=tuple(shown(word) for word in sys.argv[1:]), state=state,
            owner=self._owner, started=self._started, updated=time.time(), stages=stages,
            running=tuple(self._at_work()) if state == "running" else (),
            failures=tuple({"key": key, "name": tally.name(key), "error": dict(error)} for key, error in failures),
            problem=problem, order=self._place, exit_code=exit_code, eta_s=left_s, settled=settled,
            reached=dict(tally.furthest), progress=settled + sum(tally.furthest.values()),
        )  # fmt: skip

    def _at_work(self) -> list[dict[str, Any]]:
        return [
            {
                "key": key, "name": self._tally.name(key), "device": stage.device, "host": stage.host, "since": stage.began,
                "done": stage.done, "total": stage.total, "unit": stage.unit,
                "scalars": {name: value if math.isfinite(value) else None for name, value in stage.scalars.items()},
            }
            for key, stage in self._tally.running.items()
        ]  # fmt: skip

    def _take_up_earlier(self) -> None:
        """Progress goes on from that of earlier attempts of the same driver of the same order: what is there is not done again."""
        if not self._own or self._place is None:
            return
        with contextlib.suppress(OSError, BadInput):
            before = Run.from_bytes(Path(self._own).read_bytes(), self._own)
            if before.order == self._place:
                self._earlier = before.settled
                self._tally.furthest |= before.reached


def _ending(error: BaseException | None, exit_code: int) -> tuple[RunState, int, dict[str, str] | None]:
    problem = error.record() if isinstance(error, Problem) else None
    if error is not None:
        if isinstance(error, KeyboardInterrupt):
            exit_code = EXIT_AGAIN
        else:
            exit_code = error.exit_code if isinstance(error, Problem) else EXIT_STAGE
    states: dict[int, RunState] = {EXIT_OK: "done", EXIT_AGAIN: "stopped"}
    return states.get(exit_code, "failed"), exit_code, problem


def _place() -> Place | None:
    try:
        identity = checked_id(os.environ["W2S_ORDER"])  # it becomes a file's name
        return Place(identity, int(os.environ["W2S_ELEMENT"]), int(os.environ["W2S_COMMAND"]))
    except (KeyError, ValueError, BadInput):
        return None


def _identity(place: Place | None) -> str:
    """A run's name. A driver of an order keeps its own across attempts, so that fifty of them do not leave fifty journals."""
    if place is not None:
        return f"{place.id}.{place.element}.{place.command}"
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def _owner() -> dict[str, Any]:
    here = Owner.here()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return {"host": here.host, "pid": here.pid, "process_start": here.process_start, "boot": here.boot, "user": user}
