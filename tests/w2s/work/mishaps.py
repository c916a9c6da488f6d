"""What befalls a training in a test: entered around a stage's function, in the very process that runs it (see gang.Case).

Limits are the kernel's (RLIMIT_FSIZE, RLIMIT_AS), deaths are SIGKILL; only the moment is chosen by a hook.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cluster.job import Context
from w2s.work.ranks import Ranks

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flip": lambda raw: raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 0x40]) + raw[len(raw) // 2 + 1 :],
    "truncate": lambda raw: raw[: len(raw) // 2],
}


@contextmanager
def damaged(context: Context, saved: str, harm: list[list[Any]]) -> Iterator[None]:
    """Start from a copy of another case's `work` folder, harmed: each [file, "flip" | "truncate" | "remove" | changes]."""

    def copy() -> None:
        if context.rank == 0:
            shutil.copytree(context.work.parent.parent / saved / "work", context.work, dirs_exist_ok=True)
            for file, how in harm:
                spoil(context.work / file, how)

    Ranks.of(context).together(copy, "copy")
    yield


def spoil(file: Path, how: str | dict[str, Any]) -> None:
    """Damage one file; a dictionary's items replace those of a JSON file."""
    if how == "remove":
        file.unlink()
    elif isinstance(how, dict):
        file.write_text(json.dumps({**json.loads(file.read_text()), **how}))
    else:
        file.write_bytes(DAMAGES[how](file.read_bytes()))


@contextmanager
def full_disk(context: Context, rank: int, limit: int) -> Iterator[None]:
    """One rank cannot make a file longer than `limit` bytes, as on a disk that is full."""
    with _limited(resource.RLIMIT_FSIZE, limit if context.rank == rank else None):
        yield


@contextmanager
def killed(context: Context, rank: int, before: str, time: int) -> Iterator[None]:
    """One rank is killed when the `time`-th checkpoint has all it needs but what `before` names in w2s.work.checkpoint."""
    from w2s.work import checkpoint

    genuine, calls = getattr(checkpoint, before), iter(range(1, 10**6))

    def hook(*args: Any, **kwargs: Any) -> Any:
        if context.rank == rank and next(calls) == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return genuine(*args, **kwargs)

    with patch.object(checkpoint, before, hook):
        yield


@contextmanager
def little_memory(context: Context, spare_mb: int) -> Iterator[None]:
    """From the first step on, a process may address so much more than it does then, and no more."""
    from w2s.work import train

    genuine = train.Loop._resume

    def resume_then_limit(loop: train.Loop) -> None:
        genuine(loop)
        resource.setrlimit(resource.RLIMIT_AS, (_addressed() + spare_mb * 2**20, resource.RLIM_INFINITY))

    with _limited(resource.RLIMIT_AS, None), patch.object(train.Loop, "_resume", resume_then_limit):
        yield


def _addressed() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


@contextmanager
def _limited(what: int, limit: int | None) -> Iterator[None]:
    """A soft limit, None for as it is; taken back afterwards."""
    before = resource.getrlimit(what)
    try:
        if limit is not None:
            resource.setrlimit(what, (limit, before[1]))
        yield
    finally:
        resource.setrlimit(what, before)
