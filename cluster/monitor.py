"""Events become something to read: time-stamped lines for logs and pipes, JSON lines for scripts; `display` draws on terminals."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TextIO, TypeVar

from cluster.errors import from_record
from cluster.eta import eta_s
from cluster.events import Event
from cluster.job import Job
from cluster.tally import Tally
from cluster.words import clock, facts, one_line

__all__ = ["JsonLines", "Lines", "Monitor", "clock", "describe"]

TICK_S = 0.25
HEARTBEAT_S = 60.0
AT_ONCE = 4  # running stages in one heartbeat
Item = TypeVar("Item")
GOODBYE_S = 2.0  # a terminal that is halted may not keep a run from ending


class Monitor(Tally):
    """Base: keeps count of what happens; subclasses show it. Use as a context manager.

    `expected_s` may be set to rough seconds by key, for an estimate of what is left.
    """

    def __init__(self, jobs: Mapping[str, Job], out: TextIO | None = None) -> None:
        super().__init__(jobs)
        self.started = time.monotonic()
        self.expected_s: Mapping[str, float] = {}
        self.doing_now = ""
        self.lock = threading.RLock()  # of the count
        self._out = out or sys.stderr  # taken now: while an inline stage runs, sys.stderr is its log

    def __call__(self, event: Event) -> None:
        with self.lock:
            self.count(event)
        self.show(event)

    def show(self, event: Event) -> None:
        """Nothing: the quiet monitor."""

    def announce(self, text: str) -> None:
        """Tell the user something at once. May be called from a signal handler."""
        self.write(text)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Inside, something is done that is no stage: `starting Ray`."""
        before, self.doing_now = self.doing_now, what
        try:
            yield
        finally:
            self.doing_now = before

    def write(self, line: str) -> None:
        """One whole line. A reader that has gone away (a closed pipe, a terminal that hung up) does not stop a run."""
        # RuntimeError: a signal came in the middle of a write to the same stream
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._out.write(f"{line}\n")
            self._out.flush()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Lines(Monitor):
    """One time-stamped line per change of state, and every `heartbeat_s` how far that is which takes long."""

    def __init__(self, jobs: Mapping[str, Job], out: TextIO | None = None, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        super().__init__(jobs, out)
        self._every_s, self._beaten = heartbeat_s, time.monotonic()
        self._announced: deque[str] = deque()  # a signal handler may append in the middle of anything
        self._over = threading.Event()
        self._pulse: threading.Thread | None = None

    def show(self, event: Event) -> None:
        line = describe(event, self.name(event.key))
        if line:
            self.say(line)

    def say(self, line: str) -> None:
        """A line with the time and how many stages are there."""
        self.write(f"{time.strftime('%H:%M:%S')} [{self.cached + self.done}/{self.total}] {line}")

    def announce(self, text: str) -> None:
        self._announced.append(text)
        if self._pulse is None:
            self._say_announced()

    def announced(self) -> list[str]:
        """What was announced since the last call."""
        return list(taken(self._announced))

    def tick(self) -> None:
        """Called four times a second from a thread of its own."""
        self._say_announced()
        now = time.monotonic()
        if now - self._beaten >= self._every_s:
            self._beaten = now
            with self.lock:
                lines = heartbeat(self, self.expected_s, now, self._every_s)
            for line in lines:
                self.say(line)

    def close(self) -> None:
        """The last words: the pulse has ended."""
        self._say_announced()

    def _say_announced(self) -> None:
        for text in self.announced():
            self.say(text)

    def _keep_ticking(self) -> None:
        while not self._over.wait(TICK_S):
            with contextlib.suppress(OSError, ValueError):  # the terminal has gone; the run goes on
                self.tick()

    def __enter__(self) -> Lines:
        self._pulse = threading.Thread(target=self._keep_ticking, name="monitor", daemon=True)
        self._pulse.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pulse, self._pulse = self._pulse, None
        self._over.set()
        if pulse is not None:
            pulse.join(GOODBYE_S)
            if pulse.is_alive():  # it is in the middle of a write, and so would we be
                return
        with contextlib.suppress(OSError, ValueError):
            self.close()


class JsonLines(Monitor):
    """Every event as one line of JSON, for scripts."""

    def show(self, event: Event) -> None:
        record = {
            "event": event.kind,
            "time": event.time,
            "key": event.key,
            "name": self.name(event.key) if event.key else "",
            **event.data,
        }
        self.write(json.dumps(record, default=str))

    def announce(self, text: str) -> None:
        self.show(Event("note", data={"text": text}))


def taken(queue: deque[Item]) -> Iterator[Item]:
    """Everything of a queue, which another thread may be filling."""
    with contextlib.suppress(IndexError):
        while True:
            yield queue.popleft()


def heartbeat(tally: Tally, expected_s: Mapping[str, float], now: float, long_s: float) -> list[str]:
    """How far the stages are that have run for `long_s` and more, and the whole; nothing where there is none."""
    long = [(key, stage) for key, stage in tally.running.items() if now - stage.since >= long_s]
    lines = []
    for key, stage in long[:AT_ONCE]:
        words = facts(stage, now)
        words.pop("device", None)
        lines.append("  ".join([f"running  {one_line(tally.name(key))}:", *words.values()]))
    if not long:
        return []
    left_s = eta_s(tally, expected_s, now)
    left = "" if left_s is None else f", about {clock(left_s)} left"
    return [*lines, f"{len(tally.running)} running, {tally.waiting} waiting, {tally.failed} failed{left}"]


def describe(event: Event, name: str) -> str:
    """One line for an event that changes a state or speaks of the whole run; empty for the others."""
    data, name = event.data, one_line(name)
    if event.kind == "note" and not event.key:  # a stage's own notes are in its log
        return str(data["text"])
    if event.kind == "planned":
        return f"{data['total']} stages, {data['cached']} already in the store"
    if event.kind == "started":
        return f"started  {name} ({data['device']}, {data['host']})"
    if event.kind == "done":
        return f"done     {name} ({clock(data['seconds'])}){_headline(data['metrics'])}"
    if event.kind == "retry":
        return f"retry    {name}: {from_record(data['error'])}"
    if event.kind == "failed":
        tail = "".join(f"\n         | {one_line(line)}" for line in data["tail"])
        return f"failed   {from_record(data['error'])}{tail}\n         log: {data['log']}"
    words = {
        "skipped": f"not run  {name}: needs {data.get('needs')}",
        "stopped": f"stopped  {name} (saved; the same command goes on)",
        "waiting": f"waiting  {name}: for {data.get('for')}",
        "elsewhere": f"waiting  {name}: {data.get('holder')} is at it",
        "cached": f"there    {name} (another driver finished it)",
    }
    return words.get(event.kind, "")


def _headline(metrics: Mapping[str, object]) -> str:
    for name in ("accuracy", "val_agreement", "n_train"):
        value = metrics.get(name)
        if isinstance(value, float | int):
            return f"  {name.removeprefix('val_')} {value:.3f}" if isinstance(value, float) else f"  {name} {value}"
    return ""
