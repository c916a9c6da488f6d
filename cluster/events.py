"""What happens while a graph runs, as values: the scheduler and its workers tell, progress displays and logs listen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal[
    "planned",  # data: total, cached
    "grown",  # more is asked for; data: total, cached, of all that was
    "dropped",  # nobody needs it any more; what had begun was saved; data: total of what is left
    "started",  # a worker took the job
    "progress",  # data: done, total, unit
    "scalar",  # data: name, value, step
    "note",  # data: text
    "done",  # data: seconds, metrics
    "retry",  # data: error, attempt
    "failed",  # data: error (a Problem's record), log, tail
    "skipped",  # data: needs (the name of the failed stage)
    "stopped",  # saved and left, on request
    "waiting",  # for resources of the cluster; data: for
    "elsewhere",  # another driver is at it; data: holder
    "cached",  # finished by another driver while we waited
]


@dataclass(frozen=True)
class Event:
    """One happening. `key` is the job's key ("" for the whole run); `time` is seconds since the epoch."""

    kind: EventKind
    key: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


Listener = Callable[[Event], None]
