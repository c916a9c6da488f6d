"""A rank's side of a gang: what each of its processes does inside Ray Train, from the first beat to the commit.

Ray Train has placed the ranks and joined them in a torch process group. Here a rank greets the gang's keeper, beats from
a thread of its own, makes sure that it sees the same store as the others, runs the job's target, and tells how it ended.
Rank 0 alone watches for the user and commits, once every rank has returned.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from cluster import stacks
from cluster.errors import BadEnvironment, Interrupted
from cluster.events import Event
from cluster.job import Context, Job, Watch
from cluster.solo_worker import capture_descriptors
from cluster.stacks import Process
from cluster.store import Scratch, Store
from cluster.watch import FileWatch, QuietWatch
from cluster.worker import Ended, LeaseRef, guard, guarded, inputs, load_target, log_path, publish, use_threads

BEAT_S = 1.0
ASK_S = 0.1  # how often a waiting rank asks the keeper
SHARED_S = 30.0  # a file made on one node shows up on another within so long, if their store is shared (NFS caches)
UNREACHABLE_S = 30.0  # how long the keeper may be out of reach before a rank gives up
VICTIM_S = 10.0  # how long a rank that lost its peers leaves the first word to whoever knows why
LOST = ("closed by peer", "reset by peer", "broken pipe", "gloo", "nccl", "timed out waiting", "process group")


@dataclass(frozen=True)
class Member:
    """One rank, as the keeper and the user know it. `node` is Ray's node id."""

    rank: int
    process: Process
    host: str
    node: str
    log: str

    def __str__(self) -> str:
        return f"rank {self.rank} (pid {self.process.pid} on {self.host})"


@dataclass(frozen=True)
class Place:
    """The attempt's shared folders, chosen by rank 0. Every rank must see `nonce` there."""

    out: str
    work: str
    nonce: str


class RankLost(Exception):
    """Tells Ray Train that a rank has failed; the reason went to the keeper."""


class Link:
    """A rank's line to the keeper. As a context manager it beats from a thread of its own.

    A rank whose keeper is gone belongs to nobody, while its job may already run elsewhere: it ends at once.
    """

    def __init__(self, keeper: Any, member: Member) -> None:
        self._keeper, self._member = keeper, member
        self._events: list[Event] = []
        self._count = 0
        self._stop = False
        self._lock = threading.Lock()  # the beating thread and the working one both send
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="gang-beat", daemon=True)

    def emit(self, event: Event) -> None:
        """For the user; leaves with the next beat."""
        with self._lock:
            self._events.append(event)

    def alive(self) -> None:
        """The target has got on."""
        self._count += 1

    def stop(self) -> bool:
        """Whether the gang is asked to save and leave."""
        return self._stop

    def ask(self, method: str, *values: Any) -> Any:
        """Call a method of the keeper and wait for its answer."""
        import ray

        deadline = time.monotonic() + UNREACHABLE_S
        while True:
            try:
                return ray.get(getattr(self._keeper, method).remote(*values))
            except ray.exceptions.RayActorError as error:
                # a network may fail for a moment; everything asked may be asked twice
                passing = isinstance(error, ray.exceptions.ActorUnavailableError)
                if not passing or time.monotonic() > deadline:
                    os.kill(os.getpid(), signal.SIGKILL)  # an exception would only end this thread
            time.sleep(ASK_S)

    def __enter__(self) -> Link:
        self.ask("greet", self._member)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            self.send()

    def send(self) -> None:
        """One beat, with what was told since the last."""
        with self._lock:
            told, self._events = self._events, []
        self._stop = self.ask("beat", self._member.rank, self._count, told)


def run_rank(order: Mapping[str, Any]) -> None:
    """What Ray Train calls on every rank: {"job", "store_url", "lease", "device", "keeper"}."""
    import ray
    import ray.train

    job: Job = order["job"]
    here = ray.train.get_context()
    rank, ranks = here.get_world_rank(), here.get_world_size()
    log = log_path(Store.open(order["store_url"]), job.key, rank)
    node = ray.get_runtime_context().get_node_id()
    member = Member(rank, Process.here(), socket.gethostname(), node, str(log))
    with Link(order["keeper"], member) as link:
        raised: list[BaseException] = []
        turn = _Turn(job, order["lease"], order["device"], rank, ranks, link)
        ended = guarded(
            job, order["store_url"], turn.take, rank=rank, stop=link.stop, capture=capture_descriptors,
            on_error=raised.append,
        )  # fmt: skip
        link.send()
        victim = bool(raised) and is_victim(raised[0])
        link.ask("end", rank, ended, victim)
        if victim:
            time.sleep(VICTIM_S)
    if ended.status == "failed":  # only an exception makes Ray Train end the others, who may wait for us for ever
        raise RankLost(f"rank {rank}: {ended.error.get('what')}")


@dataclass(frozen=True)
class _Turn:
    """One rank's part in one attempt."""

    job: Job
    lease: LeaseRef | None
    device: str
    rank: int
    ranks: int
    link: Link

    def take(self, store: Store, log: TextIO) -> Ended:
        """Run the target; rank 0 then commits."""
        started = time.time()
        with _stacks(log):
            device = _device(self.job.name, self.device)
            threads = use_threads(self.job)
            place = self._meet(store)
            with self._watch(store) as watch:
                context = Context(
                    key=self.job.key, name=self.job.name, science=self.job.science, machines=self.job.machines,
                    inputs=inputs(self.job, store), out=place.out, work=place.work, watch=watch, device=device,
                    threads=threads, rank=self.rank, ranks=self.ranks, stop=self.link.stop,
                    still_mine=guard(store.url, self.job.key, self.lease),
                )  # fmt: skip
                metrics = dict(load_target(self.job.target)(context))
            self.link.send()
            self.link.ask("returned", self.rank)
            if self.rank > 0:
                return Ended(self.job.key, "done", seconds=time.time() - started)
            return publish(self.job, store, self.lease, metrics, started, {**self._everybody(), "device": device})

    def _watch(self, store: Store) -> contextlib.AbstractContextManager[Watch]:
        if self.rank > 0:
            return contextlib.nullcontext(QuietWatch(self.link.alive))
        return FileWatch(self.job.key, self.job.name, store.tensorboard, self.link.emit, self.link.alive)

    def _meet(self, store: Store) -> Scratch:
        """The folders all ranks share: rank 0 makes them and leaves a mark that every rank must see.

        Raises BadEnvironment on the ranks that do not.
        """
        if self.rank == 0:
            scratch = store.scratch(self.job.key, self.lease.owner if self.lease else "")
            for old in scratch.work.parent.glob("gang-*"):
                old.unlink(missing_ok=True)
            nonce = f"gang-{uuid.uuid4().hex}"
            (scratch.work.parent / nonce).touch()
            self.link.ask("meet_at", Place(str(scratch.out), str(scratch.work), nonce))
            return scratch
        while (place := self.link.ask("meeting")) is None:
            time.sleep(ASK_S)
        scratch = Scratch(Path(place.out), Path(place.work))
        deadline = time.monotonic() + SHARED_S
        while place.nonce not in _names(scratch.work.parent):
            if time.monotonic() > deadline:
                what = f"{scratch.work.parent} on {socket.gethostname()} is not the folder that rank 0 writes to"
                remedy = "put the store into a folder that all nodes share under one path (NFS, Lustre, ...)"
                raise BadEnvironment(self.job.name, f"the store is not shared by all nodes: {what}", remedy)
            time.sleep(ASK_S)
        return scratch

    def _everybody(self) -> dict[str, Any]:
        """Wait until every rank has returned; who they are, for the receipt. Raises Interrupted if one has stopped."""
        while (members := self.link.ask("all_returned")) is None:
            if self.link.ask("has_ended"):
                raise Interrupted(self.job.name, "another rank has stopped", "the same command goes on")
            time.sleep(ASK_S)
        return {
            "ranks": self.ranks,
            "nodes": len({member.node for member in members}),
            "hosts": [member.host for member in members],
            "pids": [member.process.pid for member in members],
            "pid": os.getpid(),
        }


def is_victim(error: BaseException) -> bool:
    """Whether an error only says that other ranks are gone: raised inside torch.distributed, or in the words of its backends."""
    text = f"{type(error).__name__} {error}".lower()
    if type(error).__name__.startswith("Dist") or any(word in text for word in LOST):
        return isinstance(error, RuntimeError)
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, RuntimeError) and bool(frames) and "/torch/distributed/" in frames[-1].filename


def _names(folder: Path) -> set[str]:
    """A listing rather than a look for one name: NFS remembers for a while that a name was missing."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@contextlib.contextmanager
def _stacks(log: TextIO) -> Iterator[None]:
    stacks.register(log)
    try:
        yield
    finally:
        stacks.unregister()


def _device(name: str, wanted: str) -> str:
    """This rank's own device. Raises BadEnvironment when a GPU was reserved and none is there: never silently a CPU."""
    if wanted == "cpu":
        return "cpu"
    import torch
    from ray.train.torch import get_device

    if not torch.cuda.is_available():
        what = f"a GPU is reserved, and torch sees none on {socket.gethostname()}"
        raise BadEnvironment(
            name, what, "check the driver and that torch is a CUDA build, or set gpus: 0 under machines"
        )
    device = get_device()
    torch.cuda.set_device(device)  # Ray shows a rank every GPU its gang has on the node
    return "cuda"  # from here on this process means its own


def tell_rank(ended: Ended, member: Member | None) -> Ended:
    """Another rank's end as the job's: its error says who it was and where its log is."""
    if member is None or member.rank == 0 or not ended.error:
        return ended
    what = f"{ended.error['what']} ({member}; its log is {member.log})"
    return replace(ended, error={**ended.error, "what": what})
