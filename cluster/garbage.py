"""What may go from a store: results nobody keeps, scratch nobody will continue, logs of neither."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GcReport:
    """What was removed (or would be): keys whose result, scratch or log goes, and the bytes that frees."""

    results: tuple[str, ...]
    scratch: tuple[str, ...]
    logs: tuple[str, ...]
    bytes_freed: int


@dataclass(frozen=True)
class Inventory:
    """What a store holds, by key."""

    results: Collection[str]
    scratch: Collection[str]
    logs: Collection[str]


def doomed(
    have: Inventory,
    keep: Collection[str],
    held: Callable[[str], bool],
    scratch_age_s: Callable[[str], float],
    min_scratch_age_s: float,
) -> Inventory:
    """What of the inventory may go.

    A result goes unless it is kept. Scratch goes once it is old, unless its key is kept and unfinished: then it holds
    the checkpoints from which the next run continues. A log goes with the last trace of its key. Nothing with a live
    lease goes.
    """
    results = [key for key in have.results if key not in keep and not held(key)]
    scratch = [
        key
        for key in have.scratch
        if (key in have.results or key not in keep) and scratch_age_s(key) >= min_scratch_age_s and not held(key)
    ]
    left = (set(have.results) - set(results)) | (set(have.scratch) - set(scratch)) | set(keep)
    logs = [key for key in have.logs if key not in left and not held(key)]
    return Inventory(results, scratch, logs)


def tree_bytes(folder: Path) -> int:
    """Bytes of all files below a local folder."""
    return sum(_stat(Path(parent) / name)[0] for parent, _, names in os.walk(folder) for name in names)


def tree_age_s(folder: Path) -> float:
    """Seconds since anything below a local folder was last written."""
    times = [_stat(folder)[1]]
    for parent, folders, names in os.walk(folder):
        times += [_stat(Path(parent) / name)[1] for name in (*folders, *names)]
    return time.time() - max(times)


def _stat(path: Path) -> tuple[int, float]:
    try:
        stat = path.lstat()
    except OSError:  # gone since it was listed
        return 0, 0.0
    return stat.st_size, stat.st_mtime
