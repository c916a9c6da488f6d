"""How a running job is watched: curves into TensorBoard event files and to whoever listens, on rank 0; signs of life on all."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster.events import Event, Listener

SIGN_S = 5.0
LONGEST_S = 3600.0  # no model is read and no checkpoint written for longer: then silence is taken for what it is
PROGRESS_EVERY_S = 0.25  # a display needs no more, and each event may cross a network


class FileWatch:
    """Writes scalars under `root/<slug of name>-<key[:8]>` and passes every happening on.

    A resumed job writes into the same folder; points beyond the step it resumes from are hidden by TensorBoard (purge).
    `alive` is called at every report, however often.
    """

    def __init__(
        self, key: str, name: str, root: Path, emit: Listener, alive: Callable[[], None] = lambda: None
    ) -> None:
        self._key, self._emit, self._alive = key, emit, alive
        self._folder = curve_folder(root, key, name)
        self._writer: Any = None
        self._told = 0.0

    def scalar(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._alive()
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # imports TensorBoard: a second, so only when needed

            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        self._writer.add_scalar(name, value, step)
        self._emit(Event("scalar", self._key, {"name": name, "value": float(value), "step": int(step)}))

    def progress(self, done: float, total: float, unit: str = "step") -> None:
        """How far the job is; told at most four times a second, the end always."""
        self._alive()
        now = time.monotonic()
        if now - self._told >= PROGRESS_EVERY_S or done >= total:
            self._told = now
            self._emit(Event("progress", self._key, {"done": done, "total": total, "unit": unit}))

    def note(self, text: str) -> None:
        """One line for the user, also in the job's log."""
        self._alive()
        print(text, flush=True)  # noqa: T201 - stdout is the job's log here
        self._emit(Event("note", self._key, {"text": text}))

    def busy(self) -> AbstractContextManager[None]:
        """Inside, one long thing is done in which nothing can be told: a model is read, a checkpoint written."""
        return _signs(self._alive)

    def __enter__(self) -> FileWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


class QuietWatch:
    """What every rank but the first holds: it shows that the rank is alive, and notes stay in the rank's own log."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive

    def scalar(self, name: str, value: float, step: int) -> None:
        """Rank 0 tells it."""
        self._alive()

    def progress(self, done: float, total: float, unit: str = "step") -> None:
        """Rank 0 tells it."""
        self._alive()

    def note(self, text: str) -> None:
        """A line in this rank's log."""
        self._alive()
        print(text, flush=True)  # noqa: T201 - stdout is the rank's log here

    def busy(self) -> AbstractContextManager[None]:
        """As in FileWatch."""
        return _signs(self._alive)


@contextmanager
def _signs(alive: Callable[[], None]) -> Iterator[None]:
    """Signs of life from a thread of their own, for an hour at most. A frozen process gives none."""
    over = threading.Event()
    deadline = time.monotonic() + LONGEST_S

    def give() -> None:
        while not over.wait(SIGN_S) and time.monotonic() < deadline:
            alive()

    thread = threading.Thread(target=give, name="watch-busy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        alive()


def curve_folder(root: Path, key: str, name: str) -> Path:
    """Where a job's curves are, whether it has begun or not."""
    return root / f"{slug(name)}-{key[:8]}"


def slug(text: str) -> str:
    """A name safe as one path part, at most 100 characters; slashes stay folders."""
    parts = [re.sub(r"[^A-Za-z0-9._=+-]+", "-", part).strip("-.")[:100] for part in text.split("/")]
    return "/".join(part for part in parts if part)
