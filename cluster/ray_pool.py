"""Solo jobs on a Ray cluster: warm actors on CPU and GPU fractions. The one place that imports ray to place work.

An actor reserves what a job asks for, keeps torch loaded between jobs, and makes room when a job of another shape waits.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster import local_session
from cluster.errors import BadEnvironment, BadInput, Interrupted, Problem, StageFailed
from cluster.events import Event, Listener
from cluster.job import Job, Resources
from cluster.solo_worker import SoloWorker
from cluster.worker import Ended, LeaseRef

IDLE_S = 15.0  # warm workers without work are given back after so long
UNPLACED_S = 1.0
WAITING_S = 20.0  # placing an actor takes a second or two, loading torch a few more
GOODBYE_S = 30.0  # how long running jobs may take to save when everything stops
OBJECT_STORE_BYTES = 128 * 1024**2  # paths and receipts travel, never weights: Ray's default would take 30 % of memory
MAX_JOBS_PER_ACTOR = 200  # then a fresh process: whatever a library leaks is given back


def connect(address: str | None, *, cpus: int | None = None, dashboard: bool = False) -> None:
    """Join the Ray cluster at `address`, or start one on this machine (token auth, loopback only).

    Raises BadEnvironment when the address does not answer. A cluster that asks for a token finds it where Ray looks:
    RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # a worker without GPUs keeps the caller's CUDA settings
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    folder = None
    if address is None:
        folder = local_session.begin()
        os.environ.pop("RAY_ADDRESS", None)  # a stray variable must not lead us into somebody's cluster
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                num_cpus=cpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
                **quiet,
            )
        else:
            _answers(address)
            ray.init(address=address, **quiet)
    except Problem:
        raise
    except Exception as error:
        remedy = (
            "is it running (`ray status`), and do RAY_AUTH_MODE and the token match?" if address else "see `w2s doctor`"
        )
        raise BadEnvironment(
            f"Ray at {address or 'this machine'}", f"could not be reached or started: {_first(error)}", remedy
        ) from None


def disconnect() -> None:
    """Leave the cluster; one of our own ends with us."""
    import ray

    ray.shutdown()
    local_session.end()


def _answers(address: str) -> None:
    """A quick knock before Ray's own long wait: `ray.init` on a dead address takes minutes to say so."""
    import socket

    if address.startswith("ray://"):
        raise BadInput(
            "--ray-address", f"'{address}' is a Ray Client address", "give the head's own, HOST:PORT (6379 by default)"
        )
    host, _, port = address.rpartition(":")
    if address == "auto" or not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            pass
    except OSError as error:
        raise BadEnvironment(
            f"Ray at {address}", f"does not answer: {error.strerror or error}", "check the address and `ray status`"
        ) from None


def _first(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


@dataclass
class _Slot:
    actor: Any
    shape: Resources
    jobs_done: int = 0
    job: Job | None = None
    result: Any = None  # the reference of the running job
    told: Any = None  # the reference of the pending events() call
    warm: Any = None  # the reference that is ready once the actor has been placed and has loaded
    since: float = field(default_factory=time.monotonic)  # of the job, or of idleness
    said_waiting: bool = False
    asked_to_stop: bool = False  # such a worker stops whatever it is given, so it is not used again


@dataclass
class RayPool:
    """Solo jobs on the Ray cluster this process is connected to (see `connect`).

    `preload` names modules that each actor imports once. The store must be reachable by every node under the same URL.
    """

    store_url: str
    preload: Sequence[str] = ()
    _slots: list[_Slot] = field(default_factory=list)

    def __post_init__(self) -> None:
        import ray

        self._ray = ray
        self._total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._largest = _largest_node(ray)

    def shape(self, job: Job) -> Resources:
        """What the job reserves on this cluster: no GPU where there is none and the job can do without."""
        wanted = job.resources
        gpus = 0.0 if self._total.get("GPU", 0) == 0 and wanted.gpu_optional else wanted.gpus
        return Resources(wanted.cpus, gpus, wanted.gpu_optional)

    def check(self, job: Job) -> None:
        shape = self.shape(job)
        for noun, asked, there in (("CPUs", shape.cpus, self._largest[0]), ("GPUs", shape.gpus, self._largest[1])):
            if asked > there:
                raise BadEnvironment(
                    job.name,
                    f"asks for {asked:g} {noun}, and the largest node has {there:g}",
                    "lower it under machines, or use larger nodes",
                )

    def has_room(self, job: Job) -> bool:
        return self._idle(self.shape(job)) is not None or self._fits_beside(self.shape(job))

    def start(self, job: Job, lease: LeaseRef | None) -> None:
        shape = self.shape(job)
        slot = self._idle(shape) or self._new(shape)
        slot.job, slot.since, slot.said_waiting = job, time.monotonic(), False
        slot.result = slot.actor.run.remote(job, self.store_url, lease, "cuda" if shape.gpus > 0 else "cpu")

    def poll(self, timeout_s: float, emit: Listener) -> list[Ended]:
        busy = [slot for slot in self._slots if slot.job is not None]
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
        return [self._collect(slot) for slot in busy if slot.result in finished]

    def stop(self) -> None:
        for slot in self._slots:
            if slot.job is not None:
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

    def _fits_beside(self, shape: Resources) -> bool:
        """Whether a new actor fits, idle actors of other shapes making room."""
        busy = [slot.shape for slot in self._slots if slot.job is not None]
        cpus = self._total.get("CPU", 0) - sum(other.cpus for other in busy)
        gpus = self._total.get("GPU", 0) - sum(other.gpus for other in busy)
        return shape.cpus <= cpus + 1e-9 and shape.gpus <= gpus + 1e-9

    def _new(self, shape: Resources) -> _Slot:
        for slot in [slot for slot in self._slots if slot.job is None]:
            free_cpus = self._total.get("CPU", 0) - sum(other.shape.cpus for other in self._slots)
            free_gpus = self._total.get("GPU", 0) - sum(other.shape.gpus for other in self._slots)
            if shape.cpus <= free_cpus + 1e-9 and shape.gpus <= free_gpus + 1e-9:
                break
            self._drop(slot)
        remote = self._ray.remote(SoloWorker)
        # two threads: one works, the other answers events() and stop()
        actor = remote.options(num_cpus=shape.cpus, num_gpus=shape.gpus, max_concurrency=3).remote(
            shape.cpus, list(self.preload)
        )
        slot = _Slot(actor, shape, warm=actor.warm.remote())  # type: ignore[attr-defined]
        self._slots.append(slot)
        return slot

    def _drop(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        with contextlib.suppress(Exception):  # already dead
            self._ray.kill(slot.actor)

    def _is_placed(self, slot: _Slot) -> bool:
        return bool(self._ray.wait([slot.warm], timeout=0)[0])

    def _say_if_waiting(self, slot: _Slot, emit: Listener) -> None:
        """On a shared cluster what we counted as free may be taken: then the user should know what we wait for."""
        if slot.said_waiting or slot.job is None or time.monotonic() - slot.since < WAITING_S or self._is_placed(slot):
            return
        slot.said_waiting = True
        asked = f"{slot.shape.cpus:g} CPUs" + (f" and {slot.shape.gpus:g} GPUs" if slot.shape.gpus else "")
        emit(Event("waiting", slot.job.key, {"for": f"{asked} to be free on the cluster"}))

    def _listen(self, slot: _Slot, emit: Listener, *, last: bool) -> None:
        """Pass on an actor's events without ever waiting on a slow one, except when it has just finished."""
        if slot.told is None:
            slot.told = slot.actor.events.remote()
        ready, _ = self._ray.wait([slot.told], timeout=5.0 if last else 0)
        if not ready:
            return
        with contextlib.suppress(self._ray.exceptions.RayError):  # a dead actor tells nothing; its result says it died
            for event in self._ray.get(slot.told):
                emit(event)
        slot.told = None
        if last:
            with contextlib.suppress(self._ray.exceptions.RayError):
                for event in self._ray.get(slot.actor.events.remote(), timeout=5.0):
                    emit(event)

    def _collect(self, slot: _Slot) -> Ended:
        job = slot.job
        assert job is not None
        slot.job, slot.told, slot.since = None, None, time.monotonic()
        slot.jobs_done += 1
        try:
            ended: Ended = self._ray.get(slot.result)
        except self._ray.exceptions.RayError as error:
            self._drop(slot)
            for idle in [other for other in self._slots if other.job is None]:
                self._drop(idle)  # what killed one may have killed them too, and a dead one costs its next job a try
            if slot.asked_to_stop:
                return Ended(job.key, "stopped", error=Interrupted(job.name, "stopped before it had begun").record())
            problem = StageFailed(
                job.name, f"its worker died: {_first(error)}", "often out of memory; the log has its last words"
            )
            return Ended(job.key, "failed", error=problem.record(), died=True)
        if slot.asked_to_stop or slot.jobs_done >= MAX_JOBS_PER_ACTOR:
            self._drop(slot)
        return ended


def _largest_node(ray: Any) -> tuple[float, float]:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max((n.get("CPU", 0.0) for n in nodes), default=0.0), max((n.get("GPU", 0.0) for n in nodes), default=0.0)
