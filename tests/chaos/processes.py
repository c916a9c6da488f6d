"""For tests that kill: who runs a gang, whether they are gone, and what they leave on the cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

from cluster.events import Event
from cluster.job import Job
from cluster.ray_pool import RayPool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store


@dataclass
class Attempt:
    """One attempt at a gang's job, as its `started` event tells: pids by rank, node ids by rank, Ray Train's controller."""

    pids: list[int]
    nodes: list[str]
    controller: int


@dataclass
class Trouble:
    """A listener that does something to each attempt of a gang, once, when that has told a few steps.

    `acts[n]` is done to attempt n + 1; None does nothing.
    """

    acts: list[Callable[[Attempt], object] | None]
    steps: int = 3
    attempts: list[Attempt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _begun: float = 0.0
    _acted: int = 0

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "started" and "ranks" in event.data:
            ranks = event.data["ranks"]
            self.attempts.append(
                Attempt([r["pid"] for r in ranks], [r["node"] for r in ranks], event.data["controller"])
            )
            self._begun = -1.0
        elif event.kind == "progress" and self.attempts:
            self._begun = event.data["done"] if self._begun < 0 else self._begun
            due = self._acted < min(len(self.attempts), len(self.acts))
            if due and event.data["done"] >= self._begun + self.steps:
                act, self._acted = self.acts[self._acted], self._acted + 1
                if act is not None:
                    act(self.attempts[-1])

    def kinds(self, *kinds: str) -> list[Event]:
        return [event for event in self.events if event.kind in kinds]


def run(
    store_url: str, jobs: Mapping[str, Job], *goals: Job, listen: Callable[[Event], None] = lambda event: None
) -> Summary:
    """Run jobs on the Ray cluster this process is connected to, with a pool of their own."""
    store = Store.open(store_url)
    pool = RayPool(store_url)
    try:
        with store.leases() as leases:
            return Scheduler(store, pool, leases, listen).run(jobs, [goal.key for goal in goals])
    finally:
        pool.close()


def kill_rank(rank: int) -> Callable[[Attempt], None]:
    return lambda attempt: send(attempt.pids[rank], signal.SIGKILL)


def freeze_rank(rank: int) -> Callable[[Attempt], None]:
    return lambda attempt: send(attempt.pids[rank], signal.SIGSTOP)


def kill_controller(attempt: Attempt) -> None:
    send(attempt.controller, signal.SIGKILL)


def kill_keeper(attempt: Attempt) -> None:
    for pid in actors("GangKeeper"):
        send(pid, signal.SIGKILL)


def send(pid: int, number: signal.Signals) -> None:
    """A signal to one Ray worker and to nothing else: 0 would mean our whole process group."""
    assert pid > 1
    assert "ray::" in " ".join(psutil.Process(pid).cmdline()), f"{pid} is no worker of Ray"
    os.kill(pid, number)


def actors(kind: str) -> list[int]:
    """Pids of the living actors of a class on the whole cluster."""
    from ray._private.state import state

    table = state.actor_table(None).values()
    return [actor["Pid"] for actor in table if actor["ActorClassName"] == kind and actor["State"] != "DEAD"]


def groups() -> int:
    """How many placement groups there are."""
    from ray.util import placement_group_table

    return sum(group["state"] != "REMOVED" for group in placement_group_table().values())


def orphans(pids: list[int], timeout_s: float = 20.0) -> list[int]:
    """Those of some processes that still live after a while."""
    wait_until(lambda: not any(alive(pid) for pid in pids), timeout_s)
    return [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return true()
