"""The worker side of a job: run the target in the job's scratch, log apart, write the receipt, commit.

`execute` is a whole solo job; the pool in this process and the actors of a Ray cluster both call it. A gang's ranks
(gang.py) are made of the same parts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from cluster.disk import FULL_DISK
from cluster.errors import BadEnvironment, Interrupted, Problem, StageFailed
from cluster.events import Event, Listener
from cluster.job import Context, Job, PackTarget, Receipt, Target
from cluster.lease import still_held
from cluster.provenance import git_state, hardware, versions
from cluster.store import Store
from cluster.watch import FileWatch

TAIL_LINES = 12


# once a process: what it has loaded does not change when files do, and asking takes longer than many a job
_versions = functools.cache(versions)
_git = functools.cache(git_state)

Capture = Callable[[TextIO], contextlib.AbstractContextManager[None]]
"""Sends what a process prints into a log for as long as it is entered."""


@dataclass(frozen=True)
class LeaseRef:
    """Enough of a lease for a worker to ask whether it is still held: file number and owner."""

    number: int
    owner: str


Assignment: TypeAlias = "tuple[Job, LeaseRef | None]"
"""A job, and the lease it is done under."""


@dataclass(frozen=True)
class Ended:
    """How a job ended. `error` is a Problem's record; `tail` the last lines of its log."""

    key: str
    status: Literal["done", "failed", "stopped"]
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: dict[str, str] = field(default_factory=dict)
    tail: tuple[str, ...] = ()
    died: bool = False  # the worker itself is gone, so nothing was learned about the job


def execute(
    job: Job,
    store_url: str,
    lease: LeaseRef | None,
    emit: Listener,
    *,
    stop: Callable[[], bool] = lambda: False,
    device: str = "cpu",
    capture: Capture | None = None,
) -> Ended:
    """Do one job in this process and commit its result. Never raises: every end is an `Ended`."""
    started = time.time()

    def work(store: Store, log: TextIO) -> Ended:
        with _prepared((job, lease), store, emit, stop, device) as context:
            metrics = dict(load_target(job.target)(context))
        return publish(job, store, lease, metrics, started, {"device": device, "pid": os.getpid()})

    return guarded(job, store_url, work, stop=stop, capture=capture)


def execute_pack(
    assignments: Sequence[Assignment],
    store_url: str,
    emit: Listener,
    *,
    stop: Callable[[], bool] = lambda: False,
    device: str = "cpu",
    capture: Capture | None = None,
) -> list[Ended]:
    """Do the jobs of one pack in one go, and commit each. Never raises.

    Where that fails, each is done alone, so that only those fail whose own fault it is.
    """
    jobs = [job for job, _ in assignments]
    together = _pack_target(jobs[0].target) if len(jobs) > 1 else None
    ended: list[Ended] = []
    if together is not None:
        started = time.time()

        def work(store: Store, log: TextIO) -> Ended:
            with contextlib.ExitStack() as stack:
                contexts = [stack.enter_context(_prepared(each, store, emit, stop, device)) for each in assignments]
                metrics = together(contexts)
            share_s = (time.time() - started) / len(jobs)
            facts = {"device": device, "pid": os.getpid(), "together": len(jobs)}
            for (job, lease), found in zip(assignments, metrics, strict=True):
                ended.append(_publish_one(job, lease, store_url, dict(found), share_s, facts, jobs))
            return Ended(jobs[0].key, "done")

        whole = guarded(jobs[0], store_url, work, stop=stop, capture=capture)
        if whole.status == "done":
            return ended
        if whole.status == "stopped":
            return [dataclasses.replace(whole, key=job.key) for job in jobs]
    return [
        execute(job, store_url, lease, emit, stop=stop, device=device, capture=capture) for job, lease in assignments
    ]


def _publish_one(
    job: Job, lease: LeaseRef | None, store_url: str, metrics: dict[str, Any], seconds: float, facts: Mapping[str, Any],
    pack: Sequence[Job],
) -> Ended:  # fmt: skip
    def work(store: Store, log: TextIO) -> Ended:
        where = log_path(store, pack[0].key)
        print(f"done together with {len(pack) - 1} others; what was said is in {where}", file=log)
        return publish(job, store, lease, metrics, time.time() - seconds, facts)

    return guarded(job, store_url, work, begins=job.key != pack[0].key)  # whose log says already that it began


@contextlib.contextmanager
def _prepared(
    assignment: Assignment, store: Store, emit: Listener, stop: Callable[[], bool], device: str
) -> Iterator[Context]:
    """What a solo job's function receives; says that it has begun."""
    job, lease = assignment
    emit(Event("started", job.key, {"host": socket.gethostname(), "pid": os.getpid(), "device": device}))
    scratch = store.scratch(job.key, lease.owner if lease else "")
    with FileWatch(job.key, job.name, store.tensorboard, emit) as watch:
        yield Context(
            key=job.key, name=job.name, science=job.science, machines=job.machines, inputs=inputs(job, store),
            out=scratch.out, work=scratch.work, watch=watch, device=device, threads=use_threads(job), stop=stop,
            still_mine=guard(store.url, job.key, lease),
        )  # fmt: skip


def _pack_target(target: str) -> PackTarget | None:
    """The sibling of a target that does several jobs in one go; None where there is none."""
    module, _, name = target.partition(":")
    found: PackTarget | None = getattr(importlib.import_module(module), f"{name}_pack", None)
    return found


def guarded(
    job: Job,
    store_url: str,
    work: Callable[[Store, TextIO], Ended],
    *,
    rank: int = 0,
    stop: Callable[[], bool] = lambda: False,
    capture: Capture | None = None,
    on_error: Callable[[BaseException], None] = lambda error: None,
    begins: bool = True,
) -> Ended:
    """Run `work(store, log)` with its output in the log of the job (of the rank); whatever it raises becomes an `Ended`.

    `on_error` sees what was raised first. `begins`: the log says so; not where the job is at it already.
    """
    started = time.time()
    try:
        store = Store.open(store_url)
        with open(log_path(store, job.key, rank), "a", encoding="utf-8", buffering=1) as log, (capture or _to_log)(log):
            if begins:
                stamp = time.strftime("%Y-%m-%d %H:%M:%S")
                print(f"--- {job.name} [{job.key[:12]}] {stamp} on {socket.gethostname()} pid {os.getpid()}", file=log)
            try:
                return work(store, log)
            except BaseException as error:
                # on a full disk the log is full too, and the first error is the one to tell
                with contextlib.suppress(OSError):
                    traceback.print_exc(file=log)
                on_error(error)
                raise
    except Interrupted as saved:
        return Ended(job.key, "stopped", error=saved.record(), seconds=time.time() - started)
    except BaseException as error:  # a worker outlives what its jobs raise, SystemExit and KeyboardInterrupt included
        if isinstance(error, KeyboardInterrupt) and stop():  # asked to save and leave, then to leave at once
            asked = Interrupted(job.name, "left at once", "the same command goes on from the last checkpoint")
            return Ended(job.key, "stopped", error=asked.record(), seconds=time.time() - started)
        problem = as_problem(error, job.name)
        last = tail(store_url, job.key, rank)
        return Ended(job.key, "failed", error=problem.record(), seconds=time.time() - started, tail=last)


def publish(
    job: Job,
    store: Store,
    lease: LeaseRef | None,
    metrics: dict[str, Any],
    started: float,
    facts: Mapping[str, Any],
) -> Ended:
    """Write the receipt and commit what is in `out`. `facts` join the receipt's hardware.

    Raises TakenOver when the lease is lost, and what `Store.commit` raises.
    """
    guard(store.url, job.key, lease)()
    seconds = time.time() - started
    receipt = Receipt(
        key=job.key, kind=job.kind, name=job.name, science=job.science, machines=job.machines,
        inputs={key: store.receipt(key).name for key in job.needs}, metrics=metrics, started=started, seconds=seconds,
        versions=dict(_versions(job.target.partition(".")[0])),
        hardware={**hardware(), "threads": _threads(job), **facts},
        git=dict(_git(_code_folder(job.target))),
    )  # fmt: skip
    store.commit(job.key, receipt, lease.owner if lease else "")
    return Ended(job.key, "done", metrics=metrics, seconds=seconds)


def inputs(job: Job, store: Store) -> dict[str, Path]:
    """The folders of what a job needs."""
    return {key: store.path(key) for key in job.needs}


def log_path(store: Store, key: str, rank: int = 0) -> Path:
    """Where a rank's log is: the job's own for rank 0, `<key>.rank<n>.log` beside it for the others."""
    return store.log_path(key) if rank == 0 else store.log_path(key).with_suffix(f".rank{rank}.log")


def load_target(target: str) -> Target:
    """The function named "package.module:function"."""
    module, _, name = target.partition(":")
    function: Target = getattr(importlib.import_module(module), name)
    return function


def use_threads(job: Job) -> int:
    """Set this process to as many compute threads as the job (each of its ranks) reserved; returns how many."""
    set_threads(_threads(job))
    return _threads(job)


def _threads(job: Job) -> int:
    return max(1, int(job.resources.cpus))


def set_threads(count: int) -> None:
    """As many compute threads as the job reserved: several torch processes that each take all cores slow one another."""
    os.environ["OMP_NUM_THREADS"] = str(count)  # for a torch that is loaded later
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)  # holds for the calling thread, which is the one that works


def as_problem(error: BaseException, name: str) -> Problem:
    """Any exception as something a user can act on."""
    if isinstance(error, Problem):
        return error
    if _errno(error) in FULL_DISK:
        what = f"the disk is full ({getattr(error, 'filename', None) or error})"
        return BadEnvironment(name, what, "free some space, then the same command goes on")
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return StageFailed(name, f"ran out of memory: {error}", "set a smaller micro_batch under machines")
    last = traceback.format_exception_only(error)[-1].strip()
    return StageFailed(name, last, "the log has the rest")


def _errno(error: BaseException) -> int | None:
    """The system's error number. Libraries written in Rust (safetensors) have exceptions of their own and put it in words."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def guard(url: str, key: str, lease: LeaseRef | None) -> Callable[[], None]:
    """A function that raises TakenOver once the lease is no longer ours."""
    if lease is None:
        return lambda: None
    return lambda: still_held(url, key, lease.number, lease.owner)


def tail(store_url: str, key: str, rank: int = 0) -> tuple[str, ...]:
    """The last lines of a log; none if it cannot be read."""
    with contextlib.suppress(Exception):
        log = log_path(Store.open(store_url, create=False), key, rank)
        return tuple(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
    return ()


def _code_folder(target: str) -> Path:
    module = sys.modules[target.partition(":")[0]]
    return Path(module.__file__ or ".").parent


@contextlib.contextmanager
def _to_log(log: TextIO) -> Iterator[None]:
    """Python-level capture: prints go to the log, and `breakpoint()` still finds the terminal."""
    hook = sys.breakpointhook
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _pause
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        sys.breakpointhook = hook


def _pause(*_: Any, **__: Any) -> None:
    import pdb

    pdb.Pdb(stdin=sys.__stdin__, stdout=sys.__stdout__).set_trace(sys._getframe(1))
