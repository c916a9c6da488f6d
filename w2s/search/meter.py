"""What a search has spent: by the clock, and device by device; and when that is enough."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cluster.events import Event
from cluster.job import Job
from w2s.search.config import Budget

ENDS = ("done", "failed", "stopped", "dropped", "retry")


class Meter:
    """Counts the time of every stage that runs for this search, times its devices (GPUs; where it has none, CPUs)."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._began = time.monotonic()
        self._running: dict[str, tuple[float, float]] = {}  # stage -> since, devices
        self._spent_s = 0.0

    def hear(self, event: Event, jobs: Mapping[str, Job]) -> None:
        if event.kind == "started" and event.key in jobs:
            self._running.setdefault(event.key, (time.monotonic(), devices(jobs[event.key])))
        elif event.kind in ENDS and event.key in self._running:
            since, count = self._running.pop(event.key)
            self._spent_s += (time.monotonic() - since) * count

    @property
    def device_hours(self) -> float:
        now = time.monotonic()
        return (self._spent_s + sum((now - since) * count for since, count in self._running.values())) / 3600

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self._began) / 60

    def spent(self) -> str:
        """What of the budget is used up, for people; "" while none is."""
        if self.budget.minutes is not None and self.minutes >= self.budget.minutes:
            return f"the budget of {self.budget.minutes:g} minutes is used up"
        if self.budget.device_hours is not None and self.device_hours >= self.budget.device_hours:
            return f"the budget of {self.budget.device_hours:g} device-hours is used up"
        return ""


def devices(job: Job) -> float:
    """How many devices a job holds: GPUs, or CPUs where it asks for no GPU."""
    own = job.resources.gpus or job.resources.cpus
    return own * max(1, job.resources.ranks)
