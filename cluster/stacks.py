"""Stacks of a process that hangs: registered when it starts, written at a signal, even after it was stopped or is stuck in C."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from cluster.provenance import process_start_time

WRITE_S = 2.0  # a stack is written in milliseconds; a machine short of memory may take longer


@dataclass(frozen=True)
class Process:
    """One process for good: pids are used again, a pid with its start time is not."""

    pid: int
    began: float | None

    @classmethod
    def here(cls) -> Process:
        return cls(os.getpid(), process_start_time(os.getpid()))

    def lives(self) -> bool:
        return self.began is not None and process_start_time(self.pid) == self.began


def register(log: TextIO) -> None:
    """From now on SIGUSR2 writes the stacks of all threads into `log`, without Python's help."""
    faulthandler.register(signal.SIGUSR2, file=log, all_threads=True, chain=False)


def unregister() -> None:
    """Before the log is closed. SIGUSR2 is ignored then: its default would end the process."""
    faulthandler.unregister(signal.SIGUSR2)
    with contextlib.suppress(ValueError):  # only the main thread may set handlers
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def write_and_kill(processes: Sequence[Process]) -> None:
    """Let processes of this machine write their stacks, then end them."""
    for number in (signal.SIGUSR2, signal.SIGCONT):  # a stopped process takes its signals when it is woken
        _send(processes, number)
    time.sleep(WRITE_S)
    _send(processes, signal.SIGKILL)


def _send(processes: Sequence[Process], number: signal.Signals) -> None:
    for process in processes:
        if process.lives():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
