"""The user's terminal apart from the streams of this process: ours goes to the one, what libraries print into a log."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from cluster.solo_worker import capture_descriptors

MOST_BYTES = 1_000_000  # of a log of noise; then it begins anew


def screen() -> TextIO:
    """Standard error as it is now, wherever it is sent later; sys.stderr itself where it is no file (in some tests)."""
    stream = sys.stderr
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, ValueError):
        return stream
    stream.flush()
    return os.fdopen(descriptor, "w", buffering=1, encoding=stream.encoding, errors="replace")


@contextlib.contextmanager
def aside(log: Path) -> Iterator[None]:
    """All that this process prints goes into `log`, from C libraries and other people's threads too.

    Where the log cannot be written, everything stays as it is.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        anew = log.exists() and log.stat().st_size > MOST_BYTES
        file = open(log, "w" if anew else "a", encoding="utf-8", errors="replace", buffering=1)  # noqa: SIM115 - closed below
    except OSError:
        yield
        return
    with file:
        words = shlex.join(sys.argv[1:])
        print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} pid {os.getpid()}: {words}", file=file)
        with capture_descriptors(file):
            yield
