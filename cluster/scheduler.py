"""The graph walk: skip what the store holds, start what is ready, retry, and let a failure stop its descendants only."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from cluster.events import Event, EventKind, Listener
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
    """Runs a graph of jobs on a pool, against a store. One driver, one thread; any number of drivers may share a store.

    The graph may grow and shrink while it runs: each of several owners `want`s some goals and may `drop` them again, and a
    job is done once, however many owners need it. `run` is the whole of it for a single owner.
    """

    def __init__(self, store: Store, pool: Pool, leases: Leases, emit: Listener) -> None:
        self._store, self._pool, self._leases, self._emit = store, pool, leases, emit
        self.jobs: dict[str, Job] = {}
        self.summary = Summary({})
        self._wanted: dict[str, frozenset[str]] = {}  # owner -> the jobs its goals call for
        self._owners: Counter[str] = Counter()  # job -> how many owners it has
        self._ranks: dict[str, int] = {}  # job -> how many owners had come before the first who wanted it
        self._rank = 0
        self._heights: dict[str, int] | None = None  # None: the graph has changed
        self._cancelled: set[str] = set()  # running jobs that were asked to leave, since no owner is left
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

    @property
    def stopping(self) -> bool:
        return self._stopping

    def run(self, jobs: Mapping[str, Job], goals: Collection[str]) -> Summary:
        """Do what the goals need. Returns when nothing more can be done; raises only for faults of the machine room."""
        with self.at_work():
            self.want("", jobs, goals)
            while self.busy:
                self.turn()
        return self.summary

    def want(self, owner: str, jobs: Mapping[str, Job], goals: Collection[str]) -> None:
        """Take up one owner's goals, and of `jobs` those they call for. What another owner needs too is done once."""
        states, first_time_over = self.summary.states, bool(self.jobs)
        found: dict[str, State] = {}
        ahead = list(goals)
        while ahead:
            key = ahead.pop()
            if key in found:
                continue
            found[key] = states.get(key) or ("cached" if self._store.has(key) else "waiting")
            if found[key] not in ("cached", "done"):
                ahead.extend(jobs[key].needs)
        new = {key: state for key, state in found.items() if key not in states}
        self.jobs |= {key: jobs[key] for key in new if key in jobs}
        states |= new
        self._ranks |= dict.fromkeys(new, self._rank)
        self._rank += 1
        self._wanted[owner] = frozenset(found)
        self._owners.update(found.keys())
        self._heights = None
        kind: EventKind = "grown" if first_time_over else "planned"
        self._emit(Event(kind, data={"total": len(states), "cached": self.summary.count("cached")}))
        for key, state in new.items():
            if state == "waiting":
                self._refuse_if_impossible(self.jobs[key])

    def drop(self, owner: str) -> None:
        """Forget one owner's goals. Jobs that nobody else needs are taken off the list; running ones save and leave."""
        for key in self._wanted.pop(owner, frozenset()):
            self._owners[key] -= 1
            if self._owners[key] > 0:
                continue
            del self._owners[key]
            state = self.summary.states.get(key)
            if state in ("waiting", "elsewhere"):
                self._forget(key)
            elif state == "running" and key not in self._cancelled:
                self._cancelled.add(key)
                self._pool.cancel(key)

    def states_of(self, keys: Iterable[str]) -> list[State]:
        """Where some wanted jobs are."""
        return [self.summary.states[key] for key in keys]

    @property
    def busy(self) -> bool:
        """Whether a turn may still bring something about."""
        open_states = ("running",) if self._stopping else ("waiting", "running", "elsewhere")
        return any(state in open_states for state in self.summary.states.values())

    def turn(self, timeout_s: float = POLL_S) -> None:
        """Start what is ready, hear what runs, settle what has ended. Takes about `timeout_s` where nothing ends."""
        self._heed_notice()
        self._start_ready()
        for ended in self._pool.poll(timeout_s, self._hear):
            self._settle(self.jobs[ended.key], ended)
        self._skip_descendants()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Enter it around the turns: at its end leases are given back, and what still runs has saved."""
        try:
            yield
        except KeyboardInterrupt:  # asked twice: leave at once
            self._pool.kill()
            raise
        except BaseException:  # while we still hold the leases, what runs may save
            self._pool.close()
            raise
        finally:
            for lease in self._held.values():
                lease.release()
        left = self.summary.count("waiting", "elsewhere", "stopped")
        self.summary.interrupted = self._stopping and left > 0

    def _forget(self, key: str) -> None:
        self._cancelled.discard(key)
        self._ranks.pop(key, None)
        del self.summary.states[key]
        self._heights = None
        self._emit(Event("dropped", key, {"total": len(self.summary.states)}))

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

    def _refuse_if_impossible(self, job: Job) -> None:
        try:
            self._pool.check(job)
        except Problem as problem:
            self._fail(job, Ended(job.key, "failed", error=problem.record()))

    def _start_ready(self) -> None:
        states, jobs = self.summary.states, self.jobs
        if self._heights is None:
            self._heights = _heights(jobs, states)
        heights = self._heights
        ready = [
            key
            for key, state in states.items()
            if state in ("waiting", "elsewhere") and all(states[need] in ("done", "cached") for need in jobs[key].needs)
        ]
        # who came first ends first, so that a search has whole trials early; of one owner the longest road ahead goes first
        for key in sorted(ready, key=lambda key: (self._ranks[key], -heights[key])):
            if self._stopping:
                return
            state = states.get(key)  # none: a listener has just dropped it
            if state == "elsewhere" and time.monotonic() - self._looked[key] < ELSEWHERE_S:
                continue
            if state in ("waiting", "elsewhere") and self._pool.has_room(jobs[key]):
                self._start([jobs[key], *self._companions(jobs[key], ready)])

    def _companions(self, job: Job, ready: Sequence[str]) -> list[Job]:
        """Other ready jobs of the same pack. One that has failed before is done alone: it may be what its company died of."""
        if not job.pack or self._attempts.get(job.key):
            return []
        found = [
            self.jobs[key]
            for key in ready
            if key != job.key
            and self.jobs[key].pack == job.pack
            and self.summary.states.get(key) == "waiting"
            and not self._attempts.get(key)
        ]
        return [other for other in found if other.resources == job.resources][: PACK - 1]

    def _start(self, jobs: Sequence[Job]) -> None:
        claimed = [(job, lease) for job in jobs if (lease := self._claim(job)) is not None]
        if claimed:
            self._pool.start(claimed)
        if self._stopping:  # asked between our look and our start
            self._pool.stop()

    def _claim(self, job: Job) -> LeaseRef | None:
        """The lease of a job that is ours to do; None for one that another driver does or has done."""
        lease = self._leases.acquire(job.key)
        if lease is None:
            if self.summary.states[job.key] != "elsewhere":
                holder = self._leases.holder(job.key)
                self._emit(Event("elsewhere", job.key, {"holder": str(holder)}))
            self.summary.states[job.key] = "elsewhere"
            self._looked[job.key] = time.monotonic()
            if self._store.has(job.key):
                self._finish_elsewhere(job)
            return None
        if self._store.has(job.key):  # finished between our look and our lease
            lease.release()
            self._finish_elsewhere(job)
            return None
        self._held[job.key] = lease
        self._attempts[job.key] = self._attempts.get(job.key, 0) + 1
        self._begun_at.pop(job.key, None)
        self.summary.states[job.key] = "running"
        return LeaseRef(lease.number, lease.owner_id)

    def _finish_elsewhere(self, job: Job) -> None:
        self.summary.states[job.key] = "cached"
        self._emit(Event("cached", job.key))

    def _settle(self, job: Job, ended: Ended) -> None:
        self._held.pop(job.key).release()
        asked = job.key in self._cancelled
        self._cancelled.discard(job.key)
        if asked and ended.status != "done":
            self._settle_dropped(job)
            return
        if ended.status == "stopped" and not self._stopping:
            ended = _unasked(job, ended)
        if ended.status == "done":
            self.summary.states[job.key] = "done"
            self._emit(Event("done", job.key, {"seconds": ended.seconds, "metrics": ended.metrics}))
        elif ended.status == "stopped":
            self.summary.states[job.key] = "stopped"
            self._emit(Event("stopped", job.key))
        elif ended.error.get("error") == TakenOver.__name__:
            self.summary.states[job.key] = "elsewhere"
            self._looked[job.key] = time.monotonic()
            self._emit(Event("elsewhere", job.key, {"holder": str(self._leases.holder(job.key))}))
        elif self._worth_another_try(job, ended):
            self.summary.states[job.key] = "waiting"
            self._emit(Event("retry", job.key, {"error": ended.error, "attempt": self._attempts[job.key]}))
        else:
            self._fail(job, ended)

    def _settle_dropped(self, job: Job) -> None:
        """A job that was asked to leave has left. Somebody may want it again by now: then it goes on where it saved."""
        if not self._owners[job.key]:
            self._forget(job.key)
            return
        self._attempts.pop(job.key, None)
        self.summary.states[job.key] = "stopped" if self._stopping else "waiting"
        self._emit(Event("stopped", job.key))

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

    def _fail(self, job: Job, ended: Ended) -> None:
        self.summary.states[job.key] = "failed"
        self.summary.failures[job.key] = ended
        log = str(self._store.log_path(job.key))
        self._emit(Event("failed", job.key, {"error": ended.error, "tail": list(ended.tail), "log": log}))

    def _skip_descendants(self) -> None:
        states, jobs = self.summary.states, self.jobs
        changed = bool(self.summary.failures)
        while changed:
            changed = False
            for key, state in list(states.items()):
                if state not in ("waiting", "elsewhere") or key not in states:
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
