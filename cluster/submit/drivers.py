"""The drivers of an element: its commands, run beside the head of the Ray cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import EXIT_AGAIN, EXIT_OK
from cluster.submit.order import Order


class Drivers:
    """Child processes, one a command. They print where we print."""

    def __init__(self, order: Order, element: int) -> None:
        self._order, self._element = order, element
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, address: str, env: Mapping[str, str]) -> None:
        """Start every command against the cluster at HOST:PORT."""
        for number, command in enumerate(self._order.elements[self._element]):
            argv = [sys.executable, *command.at(address)]
            own = {**env, **environment(self._order, self._element, number)}
            self._processes.append(subprocess.Popen(argv, env=own, stdin=subprocess.DEVNULL))

    @property
    def begun(self) -> bool:
        return bool(self._processes)

    @property
    def running(self) -> bool:
        return any(process.poll() is None for process in self._processes)

    def send(self, number: signal.Signals) -> None:
        """A signal to every driver that runs."""
        for process in self._processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def end(self) -> None:
        """None is left afterwards."""
        self.send(signal.SIGKILL)
        for process in self._processes:
            process.wait()

    @property
    def exit_code(self) -> int:
        """Of all that have ended, together."""
        return together([process.returncode for process in self._processes if process.returncode is not None])


def together(codes: Sequence[int]) -> int:
    """One exit code for several: what can go on goes on (75); else the first that is not 0. Signals count as shells do.

    A driver that dies of the notice has not begun to listen for it, or no longer does: it has nothing to save.
    """
    if EXIT_AGAIN in codes or -signal.SIGUSR1 in codes:
        return EXIT_AGAIN
    first = next((code for code in codes if code != EXIT_OK), EXIT_OK)
    return first if first >= 0 else 128 - first


def environment(order: Order, element: int, command: int) -> dict[str, str]:
    """What tells a driver which part of which order it is, and where it keeps its journal."""
    journal = Path(order.folder) / str(element) / f"run-{command}.json"
    return {
        "W2S_ORDER": order.id, "W2S_ELEMENT": str(element), "W2S_COMMAND": str(command), "W2S_JOURNAL": str(journal),
    }  # fmt: skip
