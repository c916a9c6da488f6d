"""The journal of an element's attempts, and when it is time to stop trying.

An element may run many times: it is pre-empted, reaches its time limit, or loses a node, and goes back to the queue.
`attempts.jsonl` tells what became of each attempt; it is on the shared disk, so the next attempt reads it elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

What = Literal["begun", "up", "notice", "saved", "requeue", "ended"]

FUTILE = 2  # attempts in a row that got no farther


class Attempts:
    """The attempts of the element whose folder is given; this process makes the next one."""

    def __init__(self, folder: Path, slurm_job: str, nodes: Sequence[str], commands: int) -> None:
        self._folder, self._commands = folder, commands
        self._slurm_job, self._nodes = slurm_job, list(nodes)
        self._address: str | None = None
        self._told = read(folder)
        self.number = 1 + max((row["attempt"] for row in self._told), default=0)

    @property
    def folder(self) -> Path:
        """The attempt's own folder."""
        return self._folder / f"attempt-{self.number}"

    def tell(self, what: What, detail: str = "", *, address: str | None = None, exit_code: int | None = None) -> None:
        """Add a line. `address` holds from its line on."""
        self._address = address or self._address
        row = {
            "attempt": self.number, "what": what, "time": time.time(), "slurm_job": self._slurm_job, "nodes": self._nodes,
            "address": self._address, "detail": detail, "exit_code": exit_code, "progress": self.progress(),
        }  # fmt: skip
        self._told.append(row)
        # a full disk stops the drivers, who can save and say so; the journal stops nobody
        with contextlib.suppress(OSError), open(self._folder / "attempts.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def progress(self) -> float | None:
        """How far the drivers say they are, together; None while none of them has said anything."""
        told = [_progress(self._folder / f"run-{command}.json") for command in range(self._commands)]
        known = [value for value in told if value is not None]
        return sum(known) if known else None

    def futile(self) -> bool:
        """Whether the last attempts (this one up to now among them, if it has begun) each got no farther than the one before.

        One that was ended before its drivers ran does not count.
        """
        ran = {row["attempt"] for row in self._told if row["what"] == "up"}
        before = [row["progress"] for row in self._told if row["what"] == "begun" and row["attempt"] in ran]
        return is_futile([*before, self.progress()])


def is_futile(reached: Sequence[float | None]) -> bool:
    """Whether each of the last attempts got no farther than the one before it.

    `reached` is how far the work was before each attempt, and how far it is now. What says nothing is no evidence.
    """
    last = list(reached)[-FUTILE - 1 :]
    if len(last) <= FUTILE or last[-1] is None:
        return False
    return all((after or 0.0) <= (before or 0.0) for before, after in pairwise(last))


def read(folder: Path) -> list[dict[str, Any]]:
    """The lines of an element's journal, oldest first; a torn last line is left out."""
    try:
        text = (folder / "attempts.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def _progress(journal: Path) -> float | None:
    try:
        return float(json.loads(journal.read_text(encoding="utf-8"))["progress"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
