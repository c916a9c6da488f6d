"""The worker side of a solo job: run the target in the job's scratch, log apart, write the receipt, commit.

The same function serves the pool in this process and the actors of a Ray cluster.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from cluster.disk import FULL_DISK
from cluster.errors import BadEnvironment, Interrupted, Problem, StageFailed
from cluster.events import Event, Listener
from cluster.job import Context, Job, Receipt, Target
from cluster.lease import still_held
from cluster.provenance import git_state, hardware, versions
from cluster.store import Store
from cluster.watch import FileWatch

TAIL_LINES = 12


@dataclass(frozen=True)
class LeaseRef:
    """Enough of a lease for a worker to ask whether it is still held: file number and owner."""

    number: int
    owner: str


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
    capture: Callable[[TextIO], contextlib.AbstractContextManager[None]] | None = None,
) -> Ended:
    """Do one job and commit its result. Never raises: every end is an `Ended`."""
    started = time.time()
    try:
        store = Store.open(store_url)
        log_path = store.log_path(job.key)
        with open(log_path, "a", encoding="utf-8", buffering=1) as log, (capture or _to_log)(log):
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            print(f"--- {job.name} [{job.key[:12]}] {stamp} on {socket.gethostname()} pid {os.getpid()}", file=log)
            try:
                return _attempt(job, store, lease, emit, stop, device, started)
            except BaseException:
                # on a full disk the log is full too, and the first error is the one to tell
                with contextlib.suppress(OSError):
                    traceback.print_exc(file=log)
                raise
    except Interrupted as saved:
        return Ended(job.key, "stopped", error=saved.record(), seconds=time.time() - started)
    except BaseException as error:  # a worker outlives what its jobs raise, SystemExit and KeyboardInterrupt included
        if isinstance(error, KeyboardInterrupt) and stop():  # asked to save and leave, then to leave at once
            asked = Interrupted(job.name, "left at once", "the same command goes on from the last checkpoint")
            return Ended(job.key, "stopped", error=asked.record(), seconds=time.time() - started)
        problem = as_problem(error, job.name)
        return Ended(
            job.key, "failed", error=problem.record(), seconds=time.time() - started, tail=_tail(store_url, job.key)
        )


def _attempt(
    job: Job,
    store: Store,
    lease: LeaseRef | None,
    emit: Listener,
    stop: Callable[[], bool],
    device: str,
    started: float,
) -> Ended:
    emit(Event("started", job.key, {"host": socket.gethostname(), "pid": os.getpid(), "device": device}))
    owner = lease.owner if lease else ""
    scratch = store.scratch(job.key, owner)
    inputs = {key: store.path(key) for key in job.needs}
    threads = max(1, int(job.resources.cpus))
    set_threads(threads)
    with FileWatch(job.key, job.name, store.tensorboard, emit) as watch:
        context = Context(
            key=job.key, name=job.name, science=job.science, machines=job.machines, inputs=inputs, out=scratch.out,
            work=scratch.work, watch=watch, device=device, threads=threads, stop=stop,
            still_mine=_guard(store.url, job.key, lease),
        )  # fmt: skip
        metrics = dict(load_target(job.target)(context))
    context.still_mine()
    seconds = time.time() - started
    receipt = Receipt(
        key=job.key, kind=job.kind, name=job.name, science=job.science, machines=job.machines,
        inputs={key: store.receipt(key).name for key in job.needs}, metrics=metrics, started=started, seconds=seconds,
        versions=versions(job.target.partition(".")[0]),
        hardware={**hardware(), "device": device, "threads": threads, "pid": os.getpid()},
        git=git_state(_code_folder(job.target)),
    )  # fmt: skip
    store.commit(job.key, receipt, owner)
    return Ended(job.key, "done", metrics=metrics, seconds=seconds)


def load_target(target: str) -> Target:
    """The function named "package.module:function"."""
    module, _, name = target.partition(":")
    function: Target = getattr(importlib.import_module(module), name)
    return function


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


def _guard(url: str, key: str, lease: LeaseRef | None) -> Callable[[], None]:
    if lease is None:
        return lambda: None
    return lambda: still_held(url, key, lease.number, lease.owner)


def _tail(store_url: str, key: str) -> tuple[str, ...]:
    with contextlib.suppress(Exception):
        lines = (
            Store.open(store_url, create=False).log_path(key).read_text(encoding="utf-8", errors="replace").splitlines()
        )
        return tuple(lines[-TAIL_LINES:])
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
