"""TensorBoard event files without TensorFlow: one file a run, written whole, taking the place of the one before."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from cluster.disk import told

PREFIX = "events.out.tfevents."
DIGITS = 20  # of the number in a file's name: names sort as they were written
DIGEST = 12
GRACE_S = 120.0
"""How long an emptied file stays: a TensorBoard that is reading it goes on to the next one, and would be stuck at none."""


def write_run(folder: Path, values: Sequence[tuple[int, Any]]) -> Path:
    """Write a run's summaries (step, Summary.Value) into a fresh event file; older ones are emptied, and later removed.

    Where the run says that already, nothing is written. A TensorBoard that is looking drops what it had read before: the
    fresh file begins with a restart at step 0. Returns the run's file. Raises BadEnvironment.
    """
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    wall = time.time()
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    events = [
        event_pb2.Event(wall_time=wall, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=wall, step=0, session_log=start),
        *(event_pb2.Event(wall_time=wall, step=step, summary=summary_pb2.Summary(value=[one])) for step, one in values),
    ]
    with told("TensorBoard files", folder):
        folder.mkdir(parents=True, exist_ok=True)
        older = sorted(path for path in folder.iterdir() if path.name.startswith(PREFIX))
        digest = _digest(values)
        if older and older[-1].name.endswith(f".{digest}"):
            _retire(older[:-1], wall)
            return older[-1]
        place = folder / f"{PREFIX}{_after(older):0{DIGITS}d}.{digest}"
        part = folder / f".{os.getpid()}.part"
        try:
            with part.open("wb") as file:
                writer = RecordWriter(file)
                for event in events:
                    writer.write(event.SerializeToString())
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
        _retire(older, wall)
    return place


def _digest(values: Sequence[tuple[int, Any]]) -> str:
    """Of what a run says, whenever it does."""
    found = hashlib.sha256()
    for step, value in values:
        found.update(f"{step} ".encode() + value.SerializeToString(deterministic=True))
    return found.hexdigest()[:DIGEST]


def _retire(older: Iterable[Path], now: float) -> None:
    for path in older:
        state = path.stat()
        if state.st_size:
            os.truncate(path, 0)
        elif now - state.st_mtime > GRACE_S:
            path.unlink()


def _after(older: Iterable[Path]) -> int:
    """The number of a file that is to sort after all others, however clocks were set."""
    numbers = [int(text) for path in older if (text := path.name.removeprefix(PREFIX).partition(".")[0]).isdigit()]
    return max([time.time_ns(), *(number + 1 for number in numbers)])


def clear(root: Path, keep: Collection[str]) -> None:
    """Remove the runs below a folder that are not in `keep` (paths below it); of anything that is not an event file, nothing."""
    with told("TensorBoard files", root):
        for place, _, files in os.walk(root, topdown=False):
            run = Path(place)
            if run == root or run.relative_to(root).as_posix() in keep:
                continue
            for name in files:
                if name.startswith(PREFIX):
                    (run / name).unlink(missing_ok=True)
            if not any(run.iterdir()):
                run.rmdir()
