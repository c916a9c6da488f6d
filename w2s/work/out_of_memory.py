"""A training step that found no memory, told as what to change: the next smaller micro-batch, or the next ZeRO stage.

Only what a process is refused is heard here. The kernel's own killer gives no chance to speak; the death of a worker says so.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cluster.errors import StageFailed
from cluster.job import Context
from cluster.memory import smaller, text
from cluster.surroundings import memory
from w2s.work.ranks import Ranks
from w2s.work.sharded import settings

# torch's allocator for the host, glibc through C++, CUDA's driver and libraries, each in its own words
WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "status_alloc_failed",
)
GOES_ON = "the same command then goes on from the last checkpoint"


@contextmanager
def told(context: Context, batch: int | None, rows: int) -> Iterator[None]:
    """Around a step with micro-batches of `rows` rows, of a global batch of `batch` (None: as many as a token budget takes).

    Raises StageFailed in place of any error that says memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"a micro-batch of {rows} rows ran out of memory{_there_is(context.device)}: {first}"
        raise StageFailed(context.name, what, f"{remedy(context, batch, rows)}: {GOES_ON}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(word in str(error).lower() for word in WORDS)


def remedy(context: Context, batch: int | None, rows: int) -> str:
    """What to change under `machines`: the next legal micro-batch of at most half the rows, else what `smaller` says."""
    ranks = Ranks.of(context)
    if rows > 1:
        share = batch // ranks.count if batch else rows
        legal = max((n for n in range(1, rows // 2 + 1) if batch is None or share % n == 0), default=1)
        return f"set micro_batch: {legal} (it was {_was(context, rows)})"
    zero = settings(context.machines, ranks)
    checkpointing = bool(context.machines.get("gradient_checkpointing"))
    return smaller(1, zero.stage if zero else None, ranks.count, checkpointing=checkpointing)


def _was(context: Context, rows: int) -> str:
    wanted = context.machines.get("micro_batch", "auto")
    return f"auto, {rows} rows" if wanted == "auto" else f"{rows}"


def _there_is(device: str) -> str:
    """How much there is to have; nothing where that cannot be known."""
    try:
        if device == "cuda":
            free, total = torch.cuda.mem_get_info()
            return f" (the device has {text(total)}, {text(free)} of it free)"
        host = memory()
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        capped = f", a process may address {text(limit)}" if 0 < limit < host.total else ""
        return f" (the machine has {text(host.total)}, {text(host.available)} of it free{capped})"
    except Exception:  # there may be no memory left to ask with
        return ""
