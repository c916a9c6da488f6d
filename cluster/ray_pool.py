"""Jobs on a Ray cluster: solos on warm actors of CPU and GPU fractions, gangs as Ray Train runs, one account for both.

A solo's actor reserves what a job asks for, keeps torch loaded between jobs, and makes room when a job of another shape
waits. A gang has a keeper (gang_keeper.py), an actor without resources that runs it through Ray Train and ends with it.

Nobody starves: a gang is started in its turn even where solos still run, and reserves its place at once; from then on
its share is taken, so that no solo begins which would delay it. Only gangs wait for gangs unstarted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import Interrupted, StageFailed
from cluster.events import Event, Listener
from cluster.job import Job, Resources
from cluster.placement import EXACT, Node, each_of, refuse_gang, refuse_solo, strategy
from cluster.ray_connect import connect, disconnect, first_line
from cluster.solo_worker import SoloWorker
from cluster.worker import Assignment, Ended, LeaseRef

__all__ = ["RayPool", "connect", "disconnect"]

IDLE_S = 15.0  # warm workers without work are given back after so long
UNPLACED_S = 1.0
WAITING_S = 20.0  # placing an actor takes a second or two, loading torch a few more
GOODBYE_S = 30.0  # how long running jobs may take to save when everything stops
LOOK_S = 2.0  # how often the cluster is looked at: its nodes, and whether one is to be taken away
SWEEP_S = 10.0  # a killed keeper's gang is gone within so long
MAX_JOBS_PER_ACTOR = 200  # then a fresh process: whatever a library leaks is given back


@dataclass
class _Slot:
    """One actor of ours: a solo worker, idle or at a job, or the keeper of a running gang."""

    actor: Any
    shape: Resources
    warm: Any  # the reference that is ready once the actor has been placed and has loaded; of a gang, once it has its place
    jobs_done: int = 0
    at: tuple[Assignment, ...] = ()  # one job, or several of a pack
    unwanted: set[str] = field(default_factory=set)  # of these, the ones it was asked to leave
    result: Any = None  # the reference of the running job
    told: Any = None  # the reference of the pending events() call
    since: float = field(default_factory=time.monotonic)  # of the job, or of idleness
    said_waiting: bool = False
    asked_to_stop: bool = False  # such a worker stops whatever it is given, so it is not used again
    nodes: frozenset[str] = frozenset()  # where a gang's ranks are
    folder: Path | None = None  # Ray Train's storage of a gang: thrown away

    @property
    def job(self) -> Job | None:
        """The first of what it is at; None while idle."""
        return self.at[0][0] if self.at else None

    @property
    def keys(self) -> set[str]:
        return {job.key for job, _ in self.at}

    @property
    def is_gang(self) -> bool:
        return self.shape.ranks > 0

    @property
    def cpus(self) -> float:
        return self.shape.cpus * max(1, self.shape.ranks)

    @property
    def gpus(self) -> float:
        return self.shape.gpus * max(1, self.shape.ranks)


@dataclass
class RayPool:
    """Jobs on the Ray cluster this process is connected to (see `connect`).

    `preload` names modules that each solo actor imports once. The store must be reachable by every node under the same URL.
    """

    store_url: str
    preload: Sequence[str] = ()
    _slots: list[_Slot] = field(default_factory=list)
    _nodes: list[Node] = field(default_factory=list)
    _looked: float = 0.0
    _notice: str = ""
    _had_gangs: bool = False

    def __post_init__(self) -> None:
        import ray

        from cluster import ray_state

        self._ray, self._state = ray, ray_state
        self._home = ray.get_runtime_context().get_node_id()
        self._nodes, self._looked = ray_state.nodes(), time.monotonic()

    def totals(self) -> tuple[float, float]:
        """CPUs and GPUs of the whole cluster."""
        return sum(node.cpus for node in self._nodes), sum(node.gpus for node in self._nodes)

    def shape(self, job: Job) -> Resources:
        """What the job reserves on this cluster: no GPU where there is none and the job can do without."""
        wanted = job.resources
        gpus = 0.0 if not any(node.gpus for node in self._nodes) and wanted.gpu_optional else wanted.gpus
        return dataclasses.replace(wanted, gpus=gpus)

    def check(self, job: Job) -> None:
        refuse = refuse_gang if job.resources.ranks else refuse_solo
        refuse(job.name, self.shape(job), self._nodes)

    def has_room(self, job: Job) -> bool:
        shape = self.shape(job)
        if shape.ranks:
            return self._fits_beside(shape, [slot for slot in self._slots if slot.is_gang])
        if len(self._nodes) > 1 and any(slot.is_gang and not self._is_placed(slot) for slot in self._slots):
            return False  # what is free in total may be what the gang's node lacks
        return self._fits_beside(shape, [slot for slot in self._slots if slot.job is not None])

    def start(self, assignments: Sequence[Assignment]) -> None:
        job, lease = assignments[0]
        shape = self.shape(job)
        if shape.ranks:
            self._start_gang(job, shape, lease)
            return
        slot = self._idle(shape) or self._new(shape)
        slot.at, slot.since, slot.said_waiting = tuple(assignments), time.monotonic(), False
        slot.unwanted.clear()
        slot.result = slot.actor.run.remote(list(assignments), self.store_url, "cuda" if shape.gpus > 0 else "cpu")

    def poll(self, timeout_s: float, emit: Listener) -> list[Ended]:
        busy = [slot for slot in self._slots if slot.job is not None]
        self._look()
        self._give_back_idle(unplaced=any(not self._is_placed(slot) for slot in busy))
        if not busy:
            time.sleep(timeout_s)
            return []
        done, _ = self._ray.wait([slot.result for slot in busy], num_returns=1, timeout=timeout_s)
        finished = set(done)
        if done:  # more may have ended in the same moment
            finished |= set(self._ray.wait([slot.result for slot in busy], num_returns=len(busy), timeout=0)[0])
        for slot in busy:
            self._listen(slot, emit, last=slot.result in finished)
            self._say_if_waiting(slot, emit)
        return [ended for slot in busy if slot.result in finished for ended in self._collect(slot)]

    def notice(self) -> str:
        return self._notice

    def cancel(self, key: str) -> None:
        for slot in [slot for slot in self._slots if key in slot.keys]:
            slot.unwanted.add(key)
            if slot.is_gang or not self._is_placed(slot):
                if slot.unwanted >= slot.keys:
                    self._stop(slot)
            else:  # the worker stays for others
                slot.actor.cancel.remote([(job.key, lease) for job, lease in slot.at if job.key == key])

    def stop(self) -> None:
        for slot in self._slots:
            if slot.job is not None:
                self._stop(slot)

    def _stop(self, slot: _Slot) -> None:
        slot.asked_to_stop = True
        if self._is_placed(slot):
            slot.actor.stop.remote()
        else:  # nothing to save, and it might wait for its place for ever
            self._ray.kill(slot.actor)

    def close(self) -> None:
        running = [slot.result for slot in self._slots if slot.job is not None]
        if running:
            self.stop()
            self._ray.wait(running, num_returns=len(running), timeout=GOODBYE_S)
        self.kill()

    def kill(self) -> None:
        for slot in list(self._slots):
            self._drop(slot)
        deadline = time.monotonic() + SWEEP_S
        while self._had_gangs and self._state.controllers_alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        self._state.remove_orphaned_groups()

    def _look(self) -> None:
        """Every few seconds: nodes that came or went, nodes that will be taken away, and what dead gangs left behind."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._nodes, self._looked = self._state.nodes(), time.monotonic()
        self._state.remove_orphaned_groups()
        going = self._state.draining()
        if going and not self._notice:
            ours = {self._home}.union(*(self._nodes_of(slot) for slot in self._slots if slot.job is not None))
            if going & ours:
                self._notice = "a node that runs our work is about to be taken away"

    def _nodes_of(self, slot: _Slot) -> frozenset[str]:
        return slot.nodes if slot.is_gang else frozenset({self._state.node_of(slot.actor)})

    def _give_back_idle(self, *, unplaced: bool) -> None:
        """Idle workers stay warm for a while, unless one of ours has found no place: then they hold what it lacks.

        Ray places by node and by GPU, so what is free in total may fit nowhere; and another driver on the cluster may
        wait for what we hold while we wait for its results.
        """
        for slot in [slot for slot in self._slots if slot.job is None]:
            idle_s = time.monotonic() - slot.since
            if idle_s > IDLE_S or (unplaced and idle_s > UNPLACED_S):
                self._drop(slot)

    def _idle(self, shape: Resources) -> _Slot | None:
        return next((slot for slot in self._slots if slot.job is None and slot.shape == shape), None)

    def _fits_beside(self, shape: Resources, others: Sequence[_Slot]) -> bool:
        """Whether the cluster's total holds a job beside some of our slots."""
        count = max(1, shape.ranks)
        cpus = sum(node.cpus for node in self._nodes) - sum(other.cpus for other in others)
        gpus = sum(node.gpus for node in self._nodes) - sum(other.gpus for other in others)
        return shape.cpus * count <= cpus + EXACT and shape.gpus * count <= gpus + EXACT

    def _make_room(self, shape: Resources) -> None:
        """Drop idle workers until the shape fits beside what is left, or none is idle."""
        for slot in [slot for slot in self._slots if slot.job is None]:
            if self._fits_beside(shape, self._slots):
                break
            self._drop(slot)

    def _new(self, shape: Resources) -> _Slot:
        self._make_room(shape)
        remote = self._ray.remote(SoloWorker)
        # two threads: one works, the other answers events() and stop()
        actor = remote.options(num_cpus=shape.cpus, num_gpus=shape.gpus, max_concurrency=3).remote(
            shape.cpus, list(self.preload)
        )
        slot = _Slot(actor, shape, warm=actor.warm.remote())  # type: ignore[attr-defined]
        self._slots.append(slot)
        return slot

    def _start_gang(self, job: Job, shape: Resources, lease: LeaseRef | None) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from cluster.gang_keeper import ENVIRONMENT, THREADS, GangKeeper

        self._had_gangs = True
        self._make_room(shape)
        remote = self._ray.remote(GangKeeper)
        # on the driver's own node: a gang may lose any node but that one, and goes on
        keeper = remote.options(
            num_cpus=0, max_concurrency=THREADS, runtime_env={"env_vars": ENVIRONMENT},
            scheduling_strategy=NodeAffinitySchedulingStrategy(self._home, soft=False),
        ).remote()  # fmt: skip
        slot = _Slot(keeper, shape, warm=keeper.warm.remote(), at=((job, lease),), folder=_throw_away())  # type: ignore[attr-defined]
        spread = strategy(shape, self._nodes)
        slot.result = keeper.run.remote(job, self.store_url, lease, shape, spread, str(slot.folder))  # type: ignore[attr-defined]
        self._slots.append(slot)

    def _drop(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        with contextlib.suppress(Exception):  # already dead
            self._ray.kill(slot.actor)
        if slot.folder is not None:
            shutil.rmtree(slot.folder, ignore_errors=True)

    def _is_placed(self, slot: _Slot) -> bool:
        return bool(self._ray.wait([slot.warm], timeout=0)[0])

    def _say_if_waiting(self, slot: _Slot, emit: Listener) -> None:
        """On a shared cluster what we counted as free may be taken: then the user should know what we wait for."""
        if slot.said_waiting or slot.job is None or time.monotonic() - slot.since < WAITING_S or self._is_placed(slot):
            return
        slot.said_waiting = True
        times = f"{slot.shape.ranks} x " if slot.is_gang else ""
        emit(Event("waiting", slot.job.key, {"for": f"{times}{each_of(slot.shape)} to be free on the cluster"}))

    def _listen(self, slot: _Slot, emit: Listener, *, last: bool) -> None:
        """Pass on an actor's events without ever waiting on a slow one, except when it has just finished."""
        if slot.told is None:
            slot.told = slot.actor.events.remote()
        ready, _ = self._ray.wait([slot.told], timeout=5.0 if last else 0)
        if not ready:
            return
        self._pass_on(slot, slot.told, emit)
        slot.told = None
        if last:
            self._pass_on(slot, slot.actor.events.remote(), emit)

    def _pass_on(self, slot: _Slot, told: Any, emit: Listener) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):  # a dead actor tells nothing; its result says it died
            for event in self._ray.get(told, timeout=5.0):
                if "ranks" in event.data:
                    slot.nodes = frozenset(rank["node"] for rank in event.data["ranks"])
                emit(event)

    def _collect(self, slot: _Slot) -> list[Ended]:
        jobs = [job for job, _ in slot.at]
        slot.at, slot.told, slot.since = (), None, time.monotonic()
        slot.jobs_done += len(jobs)
        try:
            told: Ended | list[Ended] = self._ray.get(slot.result)
        except self._ray.exceptions.RayError as error:
            self._drop(slot)
            for idle in [other for other in self._slots if other.job is None]:
                self._drop(idle)  # what killed one may have killed them too, and a dead one costs its next job a try
            return [self._died(slot, job, error) for job in jobs]
        if slot.is_gang or slot.asked_to_stop or slot.jobs_done >= MAX_JOBS_PER_ACTOR:
            self._drop(slot)
        return [told] if isinstance(told, Ended) else told

    def _died(self, slot: _Slot, job: Job, error: Exception) -> Ended:
        if slot.asked_to_stop:
            return Ended(job.key, "stopped", error=Interrupted(job.name, "stopped before it had begun").record())
        who = "its gang's keeper" if slot.is_gang else "its worker"
        what = f"{who} died: {first_line(error)}"
        problem = StageFailed(job.name, what, "often out of memory; the log has its last words")
        return Ended(job.key, "failed", error=problem.record(), died=True)


def _throw_away() -> Path:
    """A fresh folder in Ray's session, which is swept even when we are killed."""
    from ray._private import worker

    node: Any = worker._global_node
    session = Path(node.get_session_dir_path())
    return Path(tempfile.mkdtemp(prefix="w2s-gang-", dir=session if os.access(session, os.W_OK) else None))
