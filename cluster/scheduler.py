"""The graph walk: skip what the store holds, start what is ready, retry, and let a failure stop its descendants only."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cluster.errors import (
    EXIT_AGAIN,
    EXIT_ENVIRONMENT,
    EXIT_INPUT,
    EXIT_OK,
    EXIT_STAGE,
    Problem,
    StageFailed,
    TakenOver,
    from_record,
)
from cluster.events import Event, Listener
from cluster.job import Job
from cluster.lease import Lease, Leases
from cluster.pool import Pool
from cluster.store import Store
from cluster.worker import Ended, LeaseRef

State = Literal["waiting", "running", "elsewhere", "cached", "done", "failed", "skipped", "stopped"]
POLL_S = 0.2
PACK = 256  # small jobs handed to one worker at a time
ELSEWHERE_S = 1.0  # how often we look whether another driver has finished or died


@dataclass
class Summary:
    """How a run ended: every job's state, and the failures with what the worker said."""

    states: dict[str, State]
    failures: dict[str, Ended] = field(default_factory=dict)
    interrupted: bool = False

    def count(self, *states: State) -> int:
        return sum(state in states for state in self.states.values())

    @property
    def exit_code(self) -> int:
        """0 all there; the gravest failure's code otherwise (input, then environment, then stage); 75 when interrupted."""
        codes = {from_record(ended.error).exit_code for ended in self.failures.values()}
        for code in (EXIT_INPUT, EXIT_ENVIRONMENT, EXIT_STAGE):
            if code in codes:
                return code
        return EXIT_AGAIN if self.interrupted else EXIT_OK


def needed(jobs: Mapping[str, Job], goals: Collection[str], store: Store) -> dict[str, State]:
    """Which jobs the goals call for: those the store holds are `cached`, and nothing above them is asked for."""
    states: dict[str, State] = {}
    ahead = list(goals)
    while ahead:
        key = ahead.pop()
        if key in states:
            continue
        states[key] = "cached" if store.has(key) else "waiting"
        if states[key] == "waiting":
            ahead.extend(jobs[key].needs)
    return states


class Scheduler:
    """Runs a graph of jobs on a pool, against a store. One driver, one thread; any number of drivers may share a store."""

    def __init__(self, store: Store, pool: Pool, leases: Leases, emit: Listener) -> None:
        self._store, self._pool, self._leases, self._emit = store, pool, leases, emit
        self._held: dict[str, Lease] = {}
        self._attempts: dict[str, int] = {}  # in a row without getting further
        self._begun_at: dict[str, float] = {}  # the step at which the running attempt went on
        self._furthest: dict[str, float] = {}  # and the highest such step of earlier attempts
        self._looked: dict[str, float] = {}
        self._stopping = False

    def stop(self) -> None:
        """Start nothing more; ask what runs to save and leave."""
        self._stopping = True
        self._pool.stop()

    def run(self, jobs: Mapping[str, Job], goals: Collection[str]) -> Summary:
        """Do what the goals need. Returns when nothing more can be done; raises only for faults of the machine room."""
        summary = Summary(needed(jobs, goals, self._store))
        states = summary.states
        self._emit(Event("planned", data={"total": len(states), "cached": summary.count("cached")}))
        for key, state in states.items():
            if state == "waiting":
                self._refuse_if_impossible(jobs[key], summary)
        heights = _heights(jobs, states)
        try:
            while any(state in ("waiting", "running", "elsewhere") for state in states.values()):
                if self._stopping and not summary.count("running"):
                    break
                self._heed_notice()
                self._start_ready(jobs, summary, heights)
                for ended in self._pool.poll(POLL_S, self._hear):
                    self._settle(jobs[ended.key], ended, summary)
                self._skip_descendants(jobs, summary)
        except KeyboardInterrupt:  # asked twice: leave at once
            self._pool.kill()
            raise
        except BaseException:  # while we still hold the leases, what runs may save
            self._pool.close()
            raise
        finally:
            for lease in self._held.values():
                lease.release()
        summary.interrupted = self._stopping and any(s in ("waiting", "elsewhere", "stopped") for s in states.values())
        return summary

    def _heed_notice(self) -> None:
        why = "" if self._stopping else self._pool.notice()
        if why:
            self._emit(Event("note", data={"text": f"stopping: {why}"}))
            self.stop()

    def _hear(self, event: Event) -> None:
        """Pass an event on; the first step an attempt tells is where the last one had saved."""
        if event.kind == "progress" and event.data.get("unit") == "step":
            self._begun_at.setdefault(event.key, float(event.data["done"]))
        self._emit(event)

    def _refuse_if_impossible(self, job: Job, summary: Summary) -> None:
        try:
            self._pool.check(job)
        except Problem as problem:
            self._fail(job, Ended(job.key, "failed", error=problem.record()), summary)

    def _start_ready(self, jobs: Mapping[str, Job], summary: Summary, heights: Mapping[str, int]) -> None:
        states = summary.states
        ready = [
            key
            for key, state in states.items()
            if state in ("waiting", "elsewhere") and all(states[need] in ("done", "cached") for need in jobs[key].needs)
        ]
        for key in sorted(ready, key=lambda key: -heights[key]):  # the longest road ahead goes first
            if self._stopping:
                return
            if states[key] == "elsewhere" and time.monotonic() - self._looked[key] < ELSEWHERE_S:
                continue
            if states[key] in ("waiting", "elsewhere") and self._pool.has_room(jobs[key]):
                self._start([jobs[key], *self._companions(jobs[key], ready, jobs, states)], summary)

    def _companions(
        self, job: Job, ready: Sequence[str], jobs: Mapping[str, Job], states: Mapping[str, State]
    ) -> list[Job]:
        """Other ready jobs of the same pack. One that has failed before is done alone: it may be what its company died of."""
        if not job.pack or self._attempts.get(job.key):
            return []
        found = [
            jobs[key]
            for key in ready
            if key != job.key
            and jobs[key].pack == job.pack
            and states[key] == "waiting"
            and not self._attempts.get(key)
        ]
        return [other for other in found if other.resources == job.resources][: PACK - 1]

    def _start(self, jobs: Sequence[Job], summary: Summary) -> None:
        claimed = [(job, lease) for job in jobs if (lease := self._claim(job, summary)) is not None]
        if claimed:
            self._pool.start(claimed)
        if self._stopping:  # asked between our look and our start
            self._pool.stop()

    def _claim(self, job: Job, summary: Summary) -> LeaseRef | None:
        """The lease of a job that is ours to do; None for one that another driver does or has done."""
        lease = self._leases.acquire(job.key)
        if lease is None:
            if summary.states[job.key] != "elsewhere":
                holder = self._leases.holder(job.key)
                self._emit(Event("elsewhere", job.key, {"holder": str(holder)}))
            summary.states[job.key] = "elsewhere"
            self._looked[job.key] = time.monotonic()
            if self._store.has(job.key):
                self._finish_elsewhere(job, summary)
            return None
        if self._store.has(job.key):  # finished between our look and our lease
            lease.release()
            self._finish_elsewhere(job, summary)
            return None
        self._held[job.key] = lease
        self._attempts[job.key] = self._attempts.get(job.key, 0) + 1
        self._begun_at.pop(job.key, None)
        summary.states[job.key] = "running"
        return LeaseRef(lease.number, lease.owner_id)

    def _finish_elsewhere(self, job: Job, summary: Summary) -> None:
        summary.states[job.key] = "cached"
        self._emit(Event("cached", job.key))

    def _settle(self, job: Job, ended: Ended, summary: Summary) -> None:
        self._held.pop(job.key).release()
        if ended.status == "stopped" and not self._stopping:
            ended = _unasked(job, ended)
        if ended.status == "done":
            summary.states[job.key] = "done"
            self._emit(Event("done", job.key, {"seconds": ended.seconds, "metrics": ended.metrics}))
        elif ended.status == "stopped":
            summary.states[job.key] = "stopped"
            self._emit(Event("stopped", job.key))
        elif ended.error.get("error") == TakenOver.__name__:
            summary.states[job.key] = "elsewhere"
            self._looked[job.key] = time.monotonic()
            self._emit(Event("elsewhere", job.key, {"holder": str(self._leases.holder(job.key))}))
        elif self._worth_another_try(job, ended):
            summary.states[job.key] = "waiting"
            self._emit(Event("retry", job.key, {"error": ended.error, "attempt": self._attempts[job.key]}))
        else:
            self._fail(job, ended, summary)

    def _worth_another_try(self, job: Job, ended: Ended) -> bool:
        """Whether the job may be tried again.

        A worker that died after its checkpoint had got further than ever spends no retry: on machines that fail every
        few hours a long job would never end. A checkpoint cannot pass the last step, so this ends too.
        """
        begun_at = self._begun_at.get(job.key)
        if ended.died and begun_at is not None and begun_at > self._furthest.setdefault(job.key, begun_at):
            self._furthest[job.key], self._attempts[job.key] = begun_at, 1
        transient = ended.died or from_record(ended.error).exit_code == EXIT_STAGE
        return transient and self._attempts[job.key] <= job.retries and not self._stopping

    def _fail(self, job: Job, ended: Ended, summary: Summary) -> None:
        summary.states[job.key] = "failed"
        summary.failures[job.key] = ended
        log = str(self._store.log_path(job.key))
        self._emit(Event("failed", job.key, {"error": ended.error, "tail": list(ended.tail), "log": log}))

    def _skip_descendants(self, jobs: Mapping[str, Job], summary: Summary) -> None:
        states = summary.states
        changed = bool(summary.failures)
        while changed:
            changed = False
            for key, state in states.items():
                if state not in ("waiting", "elsewhere"):
                    continue
                blocked = [need for need in jobs[key].needs if states[need] in ("failed", "skipped")]
                if blocked:
                    states[key] = "skipped"
                    self._emit(Event("skipped", key, {"needs": jobs[blocked[0]].name}))
                    changed = True


def _unasked(job: Job, ended: Ended) -> Ended:
    """A job that stopped though nobody asked it to: a failure, or its descendants would wait for it for ever."""
    what = f"stopped though nobody asked it to: {ended.error.get('what', '')}"
    problem = StageFailed(job.name, what, "the same command goes on from the last checkpoint")
    return dataclasses.replace(ended, status="failed", error=problem.record())


def _heights(jobs: Mapping[str, Job], states: Mapping[str, State]) -> dict[str, int]:
    """For each job, how many jobs in a row wait behind it."""
    behind: dict[str, list[str]] = {key: [] for key in states}
    for key in states:
        for need in jobs[key].needs if states[key] != "cached" else ():
            behind[need].append(key)
    heights: dict[str, int] = {}

    def height(key: str) -> int:
        if key not in heights:
            heights[key] = 1 + max((height(other) for other in behind[key]), default=0)
        return heights[key]

    for key in states:
        height(key)
    return heights
