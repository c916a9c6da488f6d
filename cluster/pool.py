"""Where jobs run: the contract of a pool, and the pool that is this very process (tests, debugging).

The inline pool runs a gang's job as one process (`ranks=1`): how a batch is cut over ranks does not change the result.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from cluster.errors import BadEnvironment
from cluster.events import Listener
from cluster.job import Job
from cluster.worker import Assignment, Ended, execute_pack


class Pool(Protocol):
    """A place where jobs run. The scheduler calls it from one thread."""

    def totals(self) -> tuple[float, float]:
        """CPUs and GPUs there are in all."""
        ...

    def check(self, job: Job) -> None:
        """Raise BadEnvironment for a job that could never run here."""
        ...

    def has_room(self, job: Job) -> bool:
        """Whether `start(job)` would begin at once."""
        ...

    def start(self, assignments: Sequence[Assignment]) -> None:
        """Begin a job, or several solo jobs of one pack as one."""
        ...

    def poll(self, timeout_s: float, emit: Listener) -> list[Ended]:
        """Pass on what running jobs tell; return those that ended, after at most about `timeout_s`."""
        ...

    def notice(self) -> str:
        """Why everything here should save and leave soon (a machine is to be taken away); "" while nothing asks for it."""
        ...

    def cancel(self, key: str) -> None:
        """Ask one running job to save and leave, and give back what it holds. A pack leaves when all its jobs are asked to."""
        ...

    def stop(self) -> None:
        """Ask running jobs to save and leave."""
        ...

    def kill(self) -> None:
        """End what runs at once."""
        ...

    def close(self) -> None:
        """Let what runs save, then end it and give everything back."""
        ...


class InlinePool:
    """One job at a time, in this process: the same path as on a cluster, and a debugger works in it."""

    def __init__(self, store_url: str) -> None:
        self._url = store_url
        self._queue: deque[Sequence[Assignment]] = deque()
        self._stopping = False
        self._cancelled: set[str] = set()

    def totals(self) -> tuple[float, float]:
        return 1.0, 0.0

    def check(self, job: Job) -> None:
        if job.resources.gpus > 0 and not job.resources.gpu_optional:
            raise BadEnvironment(job.name, "needs a GPU, and the inline pool uses none", "use --pool ray")

    def has_room(self, job: Job) -> bool:
        return not self._queue

    def start(self, assignments: Sequence[Assignment]) -> None:
        self._queue.append(assignments)

    def poll(self, timeout_s: float, emit: Listener) -> list[Ended]:
        if not self._queue:
            time.sleep(timeout_s)
            return []
        assignments = self._queue.popleft()
        device = _device(assignments[0][0])
        keys = {job.key for job, _ in assignments}
        try:
            return execute_pack(
                assignments, self._url, emit, stop=lambda: self._stopping or keys <= self._cancelled, device=device
            )
        finally:
            self._cancelled -= keys

    def cancel(self, key: str) -> None:
        self._cancelled.add(key)

    def notice(self) -> str:
        return ""

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        self._queue.clear()

    def kill(self) -> None:
        self._queue.clear()


def _device(job: Job) -> str:
    if job.resources.gpus == 0:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
