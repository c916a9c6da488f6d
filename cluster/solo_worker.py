"""The process a solo job runs in on a Ray cluster: warm, one job at a time, its output in the job's log. Imports no ray."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeAlias

from cluster.events import Event
from cluster.worker import Assignment, Ended, LeaseRef, execute_pack

Attempt: TypeAlias = "tuple[str, LeaseRef | None]"
"""One try at a job: its key, and the lease it is done under."""


class SoloWorker:
    """The actor: one job at a time in its own thread, while a second thread answers for it."""

    def __init__(self, cpus: float, preload: Sequence[str]) -> None:
        os.environ["OMP_NUM_THREADS"] = str(max(1, int(cpus)))
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._events: list[Event] = []
        self._stop = False
        self._cancelled: set[Attempt] = set()
        self._preload = tuple(preload)
        self._loading = threading.Lock()

    def warm(self) -> int:
        """Load what jobs will import. Returns the process id."""
        import importlib

        with self._loading:  # imports of one library from two threads at once meet half-made modules
            for name in self._preload:
                importlib.import_module(name)
        return os.getpid()

    def run(self, assignments: Sequence[Assignment], store_url: str, device: str) -> list[Ended]:
        self.warm()
        attempts = {(job.key, lease) for job, lease in assignments}
        return execute_pack(
            assignments,
            store_url,
            self._events.append,
            stop=lambda: self._stop or attempts <= self._cancelled,
            device=device,
            capture=capture_descriptors,
        )

    def cancel(self, attempts: Sequence[Attempt]) -> None:
        """Ask jobs to save and leave; later attempts at the same ones are not meant."""
        self._cancelled.update(attempts)

    def events(self) -> list[Event]:
        """What was told since the last call."""
        told, self._events[:] = list(self._events), []
        return told

    def stop(self) -> None:
        self._stop = True


@contextlib.contextmanager
def capture_descriptors(log: TextIO) -> Iterator[None]:
    """Everything the process prints goes to the job's log, from C libraries too: the actor runs one job at a time."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    try:
        for descriptor, _ in saved:
            os.dup2(log.fileno(), descriptor)
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        for descriptor, copy in saved:
            os.dup2(copy, descriptor)
            os.close(copy)
