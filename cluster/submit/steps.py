"""A Slurm step that runs one node of the Ray cluster, held by its `srun`; both ends notice at once when the other is gone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LAST_LINES = 8
TURN_S = 0.1
HARD_S = 5.0


def srun_argv(node: str, cpus: int, command: Sequence[str]) -> list[str]:
    """The srun that runs a command on one node with all that the job has there."""
    return [
        "srun",
        "--overlap",  # beside other steps: the drivers are in the batch step
        "--nodes=1", "--ntasks=1", f"--nodelist={node}",
        f"--cpus-per-task={cpus}",  # srun does not take it from the job since 22.05
        "--mpi=none",
        "--export=ALL",  # the job's own environment may have been cut down, and Slurm then cuts that of steps too
        "--unbuffered",
        "--job-name=ray",
        *command,
    ]  # fmt: skip


class Step:
    """One running step. `told` is what its program said, in order; its errors and srun's own words go to the file `log`."""

    def __init__(self, node: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.node, self.log = node, log
        self.told: list[dict[str, Any]] = []
        with open(log, "a", encoding="utf-8") as errors:
            self._srun = subprocess.Popen(
                argv, env=env, text=True, errors="replace",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def up(self) -> dict[str, Any] | None:
        """Where and with what the node runs, once it does."""
        return self.last("up")

    @property
    def code(self) -> int | None:
        """The exit code, once the step has ended and all it said has been read."""
        code = self._srun.poll()
        return None if code is None or self._reader.is_alive() else code

    @property
    def never_began(self) -> bool:
        """Whether it has ended without a word: its program did not run."""
        return self.code is not None and not self.told

    def last(self, what: str) -> dict[str, Any] | None:
        """The last thing of a kind that it said."""
        return next((words for words in reversed(self.told) if words.get("what") == what), None)

    def last_words(self) -> str:
        """The end of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(f"  {self.node} | {line}" for line in lines[-LAST_LINES:]) or f"  {self.node} | (said nothing)"

    def ask(self) -> None:
        """Ask whether it is there; it says "here"."""
        with contextlib.suppress(OSError, ValueError):
            if self._srun.stdin:
                self._srun.stdin.write("?\n")
                self._srun.stdin.flush()

    def count(self, what: str) -> int:
        """How often it has said something."""
        return sum(words.get("what") == what for words in list(self.told))

    def leave(self) -> None:
        """Ask it to end Ray, keep the logs, and leave."""
        with contextlib.suppress(OSError):
            if self._srun.stdin:
                self._srun.stdin.close()

    def terminate(self) -> None:
        """Have Slurm end it at once."""
        self._srun.terminate()

    def kill(self) -> None:
        self._srun.kill()
        self._srun.wait()

    def _listen(self) -> None:
        for line in self._srun.stdout or ():
            try:
                words = json.loads(line)
            except ValueError:
                continue
            if isinstance(words, dict):
                self.told.append(words)


def end(steps: Sequence[Step], patience_s: float) -> None:
    """End steps: by their leave, then by Slurm's force, then by not waiting any longer."""
    for ask, wait_s in ((Step.leave, patience_s), (Step.terminate, HARD_S)):
        for step in steps:
            if step.code is None:
                ask(step)
        _until_ended(steps, wait_s)
    for step in steps:
        if step.code is None:
            step.kill()


def _until_ended(steps: Sequence[Step], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(step.code is None for step in steps) and time.monotonic() < deadline:
        time.sleep(TURN_S)
