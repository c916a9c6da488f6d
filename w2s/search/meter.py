"""What a search has spent: by the clock, and device by device; and when that is enough."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cluster.events import Event
from cluster.job import Job
from w2s.search.config import Budget

ENDS = ("done", "failed", "stopped", "dropped", "retry", "elsewhere")


class Meter:
    """Counts the time of every stage that runs for this search, times its devices (GPUs; where it has none, CPUs).

    Small stages that are done together, as one pack, share their time.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._began = time.monotonic()
        self._running: dict[str, tuple[float, float, str]] = {}  # stage -> since, devices, pack
        self._spent_s = 0.0

    def hear(self, event: Event, jobs: Mapping[str, Job]) -> None:
        if event.kind == "started" and event.key in jobs:
            job = jobs[event.key]
            self._running.setdefault(event.key, (time.monotonic(), devices(job), job.pack))
        elif event.kind in ENDS and event.key in self._running:
            since, count, pack = self._running.pop(event.key)
            own_s = event.data.get("seconds") if pack else None  # of a pack's time, its share
            self._spent_s += (time.monotonic() - since if own_s is None else float(own_s)) * count

    @property
    def device_hours(self) -> float:
        now = time.monotonic()
        held = {pack or key: (now - since) * count for key, (since, count, pack) in self._running.items()}
        return (self._spent_s + sum(held.values())) / 3600

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
