"""The keeper of one running gang: an actor that starts it through Ray Train, hears its ranks, ends it when it hangs.

Ray Train gives placement, the process group and the news of a death. It is asked to retry nothing: the scheduler does,
from the job's own checkpoints, with one budget for solos and gangs, so that a bad recipe is not tried thrice by each of
the two. Ray Train's own storage holds nothing then, and is a throw-away folder on the keeper's node.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import ray
from ray.train.torch import TorchConfig
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.train.v2.torch.torch_trainer import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import ray_state
from cluster.errors import StageFailed
from cluster.events import Event
from cluster.gang import Member, Place, run_rank, tell_rank
from cluster.job import Job, Resources
from cluster.placement import Strategy
from cluster.stacks import Process, write_and_kill
from cluster.worker import Ended, LeaseRef, tail

TICK_S = 0.25
STACKS_S = 30.0  # a task on a busy node may take seconds to begin
BREAK_S = 30.0  # from the death of a hung gang's ranks to Ray Train's notice of it
COLLECTIVE_MARGIN_S = 60.0  # a hang is ours to find: a collective times out later than that, and says less
THREADS = 16
ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # a busy cluster is no fault: the user is told what the gang waits for, and may stop it
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(30 * 86400),
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same on ranks and on solo workers
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # the pool watches for drains, for solos as well
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # what a rank prints goes to its log
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "3",  # ranks that wait for a dead one never leave their group
    "TOKENIZERS_PARALLELISM": "false",
}
"""What the keeper's process, Ray Train's controller and the ranks are started with; children of an actor inherit it."""


class GangKeeper:
    """The actor: `run` holds one thread for as long as the gang lives, others answer the ranks and the pool."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._placed = threading.Event()
        self._events: list[Event] = []
        self._stop = False
        self._controller: tuple[str, int] | None = None  # its actor id and pid
        self._members: dict[int, Member] = {}
        self._beaten: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._moved: float | None = None  # when any rank last got on
        self._place: Place | None = None
        self._returned: set[int] = set()
        self._ends: dict[int, tuple[Ended, bool]] = {}  # in order of arrival: a cause comes before what follows from it
        self._failure: BaseException | None = None
        self._hang = ""

    # ---- for the pool

    def warm(self) -> bool:
        """Returns when the gang has its place on the cluster."""
        return self._placed.wait()

    def run(
        self, job: Job, store_url: str, lease: LeaseRef | None, shape: Resources, strategy: Strategy, folder: str
    ) -> Ended:
        """One attempt. `shape` is what each rank reserves here; `folder` is for Ray Train and is thrown away."""
        started = time.time()
        trainer = self._trainer(job, store_url, lease, shape, strategy, folder)
        fitting = threading.Thread(target=self._fit, args=(trainer,), name="gang-fit", daemon=True)
        fitting.start()
        told = False
        while fitting.is_alive():
            if not self._placed.is_set() and self._controller and ray_state.is_placed(self._controller[0]):
                self._placed.set()
            if not told and len(self._members) == shape.ranks:
                told = True
                self._events.append(self._started(job, shape))
            self._hang = self._find_hang(shape)
            if self._hang:
                self._end_hung()
                fitting.join(BREAK_S)
                break
            fitting.join(TICK_S)
        self._placed.set()
        return self._verdict(job, store_url, time.time() - started)

    def events(self) -> list[Event]:
        """What was told since the last call."""
        with self._lock:
            told, self._events = self._events, []
        return told

    def stop(self) -> None:
        """Ask the ranks to save and leave."""
        self._stop = True

    # ---- for Ray Train's controller and the ranks

    def controller(self, actor: str, pid: int) -> None:
        self._controller = (actor, pid)

    def greet(self, member: Member) -> None:
        self._beaten[member.rank] = time.monotonic()
        self._members[member.rank] = member

    def beat(self, rank: int, count: int, events: list[Event]) -> bool:
        """A sign of life. Returns whether to save and leave."""
        with self._lock:
            self._events.extend(events)
        self._beaten[rank] = time.monotonic()
        if count > self._counts.get(rank, 0):
            self._counts[rank], self._moved = count, time.monotonic()
        return self._stop

    def meet_at(self, place: Place) -> None:
        self._place = place

    def meeting(self) -> Place | None:
        return self._place

    def returned(self, rank: int) -> None:
        """The rank's target has returned."""
        self._returned.add(rank)

    def all_returned(self) -> list[Member] | None:
        """All ranks in order, once every target has returned."""
        if len(self._returned) < len(self._members):
            return None
        return [self._members[rank] for rank in sorted(self._members)]

    def has_ended(self) -> bool:
        """Whether any rank has ended otherwise than by returning."""
        return any(ended.status != "done" for ended, _ in self._ends.values())

    def end(self, rank: int, ended: Ended, victim: bool) -> None:
        """How a rank ended; a victim's error only says that others are gone."""
        self._ends[rank] = (ended, victim)

    # ---- inside

    def _trainer(
        self, job: Job, store_url: str, lease: LeaseRef | None, shape: Resources, strategy: Strategy, folder: str
    ) -> TorchTrainer:
        itself = ray.get_runtime_context().current_actor
        each = {"CPU": shape.cpus, **({"GPU": shape.gpus} if shape.gpus else {})}
        on_gpu = shape.gpus > 0
        return _Trainer(
            run_rank,
            train_loop_config={
                "job": job, "store_url": store_url, "lease": lease, "device": "cuda" if on_gpu else "cpu", "keeper": itself,
            },
            torch_config=TorchConfig(
                backend="nccl" if on_gpu else "gloo", timeout_s=int(shape.hang_s + COLLECTIVE_MARGIN_S)
            ),
            scaling_config=ScalingConfig(
                num_workers=shape.ranks, use_gpu=on_gpu, resources_per_worker=each, placement_strategy=strategy
            ),
            run_config=RunConfig(
                name=job.key, storage_path=folder,
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
            ),
        )  # fmt: skip

    def _fit(self, trainer: TorchTrainer) -> None:
        try:
            trainer.fit()
        except BaseException as failure:  # told by _verdict
            self._failure = failure

    def _started(self, job: Job, shape: Resources) -> Event:
        members = [self._members[rank] for rank in sorted(self._members)]
        hosts = sorted({member.host for member in members})
        return Event("started", job.key, {
            "host": hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts", "pid": members[0].process.pid,
            "device": f"{shape.ranks} ranks on {'cuda' if shape.gpus else 'cpu'}",
            "ranks": [{"rank": m.rank, "pid": m.process.pid, "host": m.host, "node": m.node, "log": m.log} for m in members],
            "controller": self._controller[1] if self._controller else 0,
        })  # fmt: skip

    def _find_hang(self, shape: Resources) -> str:
        """What hangs, in words; "" while all is well."""
        now = time.monotonic()
        for rank, beaten in list(self._beaten.items()):
            if rank not in self._ends and now - beaten > shape.hang_s:
                member = self._members[rank]
                return f"{member} was silent for {now - beaten:.0f} s; its stack is in {member.log}"
        if self._moved is None or now - self._moved <= shape.hang_s or len(self._returned) == shape.ranks:
            return ""
        slowest = self._members[min(self._members, key=lambda rank: self._counts.get(rank, 0))]
        words = f"no rank got on for {now - self._moved:.0f} s; {slowest} is furthest behind"
        return f"{words}; its stack is in {slowest.log}, the others' beside it"

    def _end_hung(self) -> None:
        """On each rank's own node: stacks into the logs, then the end."""
        nodes: dict[str, list[Process]] = {}
        for rank, member in self._members.items():
            if rank not in self._ends:
                nodes.setdefault(member.node, []).append(member.process)
        ending = [
            ray.remote(write_and_kill)
            .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
            .remote(processes)
            for node, processes in nodes.items()
        ]
        ray.wait(ending, num_returns=len(ending), timeout=STACKS_S)

    def _verdict(self, job: Job, store_url: str, seconds: float) -> Ended:
        first = self._ends.get(0)
        if first and first[0].status == "done":
            return first[0]
        if self._hang:
            return self._died(job, self._hang, "the next attempt goes on from the last checkpoint", (), seconds)
        for rank, (ended, victim) in self._ends.items():
            if ended.status == "failed" and not victim:
                return tell_rank(ended, self._members.get(rank))
        lost = self._lost()
        if lost:
            names = ", ".join(str(member) for member in lost)
            last = tail(store_url, job.key, lost[0].rank)
            remedy = f"often out of memory; {lost[0].log} has its last words"
            return self._died(job, f"{names} died", remedy, last, seconds)
        stopped = [ended for ended, _ in self._ends.values() if ended.status == "stopped"]
        if stopped:
            return stopped[0]
        if self._ends:
            rank, (ended, _) = next(iter(self._ends.items()))
            return tell_rank(ended, self._members.get(rank))
        why = str(self._failure).strip().split("\n")[0] if self._failure else "Ray Train ended it"
        return self._died(job, f"its gang was lost: {why}", "the log may say more", (), seconds)

    def _lost(self) -> list[Member]:
        """The ranks that Ray Train saw die and that had no last word."""
        failures = self._failure.worker_failures if isinstance(self._failure, WorkerGroupError) else {}
        return [self._members[rank] for rank in sorted(failures) if rank not in self._ends and rank in self._members]

    def _died(self, job: Job, what: str, remedy: str, last: tuple[str, ...], seconds: float) -> Ended:
        record = StageFailed(job.name, what, remedy).record()
        return Ended(job.key, "failed", error=record, tail=last, seconds=seconds, died=True)


class _Tell(ControllerCallback):
    """Runs in Ray Train's controller: its actor id leads to its placement group, which the pool may have to remove."""

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper

    def after_controller_start(self, train_run_context: Any) -> None:
        import os

        ray.get(self._keeper.controller.remote(ray.get_runtime_context().get_actor_id(), os.getpid()))


class _Trainer(TorchTrainer):
    """Ray Train's controller says who it is, and starts no placement group cleaner: that is a detached actor which asks
    the State API, and outlives a killed run for ever where no dashboard serves it. The pool cleans up (ray_state)."""

    def _create_default_callbacks(self) -> list[Any]:
        made = super()._create_default_callbacks()
        kept = [callback for callback in made if type(callback).__name__ != "PlacementGroupCleanerCallback"]
        return [*kept, _Tell((self.train_loop_config or {})["keeper"])]
