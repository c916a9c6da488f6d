"""A run counted from its events: what is there, what runs and how far it is, what failed. Displays and the journal read it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.events import Event
from cluster.job import Job


@dataclass
class Running:
    """A stage at work. `began` is seconds since the epoch by the worker's clock, `since` our own monotonic clock."""

    began: float
    since: float
    device: str = ""
    host: str = ""
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    from_fraction: float | None = None  # where this attempt went on
    scalars: dict[str, float] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Between 0 and 1; 0 where the stage has told nothing."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    def advance(self, data: Mapping[str, Any]) -> None:
        """Take in a progress event."""
        self.done, self.total, self.unit = float(data["done"]), float(data["total"]), str(data.get("unit", ""))
        if self.from_fraction is None:
            self.from_fraction = self.fraction

    def left_s(self, now: float) -> float | None:
        """Seconds left at the pace of this attempt, by the monotonic clock `now`; None before it has a pace."""
        gained = self.fraction - (self.from_fraction or 0.0)
        return (now - self.since) * (1 - self.fraction) / gained if gained > 0 else None


class Tally:
    """Counts events. Not thread-safe: who reads it from another thread brings a lock."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        self.total = self.cached = self.done = self.failed = 0
        self._cached_since = 0  # by other drivers: counted as done
        self.running: dict[str, Running] = {}
        self.seconds: dict[str, float] = {}  # of the stages done here, how long each worked
        self.over: set[str] = set()  # done, failed or skipped
        self.dropped: set[str] = set()  # not wanted any more: the total is without them
        self.failures: dict[str, Mapping[str, Any]] = {}
        self.furthest: dict[str, float] = {}  # fraction that an unfinished stage has reached in any attempt
        self.abandoned = 0.0  # the sum of what stages had reached that nobody wanted any more
        self.first_start: float | None = None  # monotonic

    def count(self, event: Event) -> None:
        """Take in one event."""
        key, data = event.key, event.data
        if event.kind in ("planned", "grown"):
            self.total, self.cached = data["total"], data["cached"] - self._cached_since
        elif event.kind == "started":
            self._start(event)
        elif event.kind in ("progress", "scalar"):
            self._advance(event)
        elif event.kind in ("dropped", "done", "failed", "stopped", "retry", "cached", "skipped"):
            self.running.pop(key, None)
            self._settle(event)

    def _start(self, event: Event) -> None:
        now = time.monotonic()
        self.first_start = now if self.first_start is None else self.first_start
        device, host = str(event.data.get("device", "")), str(event.data.get("host", ""))
        self.running[event.key] = Running(event.time, now, device, host)
        self.over.discard(event.key)
        self.dropped.discard(event.key)

    def _advance(self, event: Event) -> None:
        running = self.running.get(event.key)
        if running is None:
            return
        if event.kind == "scalar":
            running.scalars[str(event.data["name"])] = float(event.data["value"])
            return
        running.advance(event.data)
        self.furthest[event.key] = max(self.furthest.get(event.key, 0.0), running.fraction)

    def _settle(self, event: Event) -> None:
        self.done += event.kind in ("done", "cached")
        self._cached_since += event.kind == "cached"
        self.failed += event.kind == "failed"
        if event.kind == "dropped":
            self.total = event.data["total"]
            self.dropped.add(event.key)
            self.abandoned += self.furthest.pop(event.key, 0.0)
        if event.kind == "done":
            self.seconds[event.key] = float(event.data["seconds"])
        if event.kind == "failed":
            self.failures[event.key] = event.data["error"]
        if event.kind in ("done", "failed", "cached", "skipped"):
            self.over.add(event.key)
            self.furthest.pop(event.key, None)

    @property
    def waiting(self) -> int:
        """Stages that will still be started, as far as is known."""
        return max(0, self.total - self.cached - len(self.over) - len(self.running))

    def follow(self, jobs: Mapping[str, Job]) -> None:
        """Name stages from here: a graph that grows."""
        self._jobs = jobs

    def name(self, key: str) -> str:
        return self._jobs[key].name if key in self._jobs else key[:12]
