"""Where an order's elements are, as their batch system tells it: the same words for Slurm and for Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "running", "done", "failed", "cancelled", "unknown"]


@dataclass(frozen=True)
class Live:
    """One element. Times are seconds since the epoch; what is not known is None, "" or ()."""

    element: int
    state: State
    told: str = ""  # the system's own word: PENDING, COMPLETING, NODE_FAIL
    why: str = ""  # why it waits, or why it ended, in words
    nodes: tuple[str, ...] = ()
    started: float | None = None
    ended: float | None = None
    time_left_s: float | None = None
    restarts: int = 0
    exit_code: int | None = None

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")
