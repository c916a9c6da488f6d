"""Slurm's commands as they are run: argument lists, a clean environment, a time-out, and what a silent Slurm means in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.errors import BadEnvironment

TIMEOUT_S = 60.0  # a busy slurmctld answers after tens of seconds; one that is down, after nine
PATIENCE_S = 10.0  # no further try after that: a command that waits for long has tried by itself
PAUSES_S = (0.5, 2.0)
KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER")
PREFIXES = ("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_")
SILENT = (
    "unable to contact slurm controller", "socket timed out", "connection refused", "connection reset", "connect failure",
    "zero bytes were transmitted", "slurm temporarily unable", "resource temporarily unavailable", "slurmdbd",
    "communication connection failure", "network is unreachable", "no route to host",
)  # fmt: skip
UNSET_UP = ("fetch_config", "configuration source", "cannot stat file", "unable to process configuration", "munge")


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """What it has to say of its failure, in one line."""
        lines = [line for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return " ".join(lines[-1].split()).removeprefix("sbatch: error: ") if lines else f"exit code {self.code}"


class _Silence(Exception):
    """Slurm did not answer: whether it did what it was asked is not known."""


def ask(
    argv: Sequence[str], *, stdin: str = "", epochs: bool = True, patient: bool = True, timeout_s: float = TIMEOUT_S
) -> Said:
    """Run one of Slurm's commands. `epochs`: times are printed as seconds since the epoch; `patient`: tried again when unanswered.

    A refusal is returned, for the caller to judge. Raises BadEnvironment where there is no such command, where no Slurm is
    set up, and where Slurm does not answer: then whether it did what it was asked is not known.
    """
    present(argv[0])
    began = time.monotonic()
    for pause_s in (*PAUSES_S, None) if patient else (None,):
        try:
            return _once(argv, stdin, epochs, timeout_s)
        except _Silence as silence:
            if pause_s is None or time.monotonic() - began > PATIENCE_S:
                remedy = "try again in a minute; `scontrol ping` tells whether Slurm's controller is up"
                raise BadEnvironment(argv[0], str(silence), remedy) from None
            time.sleep(pause_s)
    raise AssertionError("unreachable")


def present(command: str) -> None:
    """Raises BadEnvironment where there is no such command of Slurm's."""
    if shutil.which(command) is None:
        remedy = "run this on a login node of the cluster (where `sinfo` works), or use --to ray"
        raise BadEnvironment(command, "not found: there is no Slurm here", remedy)


def _once(argv: Sequence[str], stdin: str, epochs: bool, timeout_s: float) -> Said:
    try:
        done = subprocess.run(
            argv, env=environment(epochs), input=stdin, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _Silence(f"no answer from Slurm within {timeout_s:g} s") from None
    except OSError as error:
        raise BadEnvironment(argv[0], f"cannot be run: {error}", "is Slurm's client installed here?") from None
    said = Said(done.returncode, done.stdout, done.stderr)
    words = said.err.lower()
    if said.code and any(word in words for word in UNSET_UP):
        raise BadEnvironment(
            argv[0], f"this machine is no part of a Slurm cluster: {said.last}", "use a login node, or set SLURM_CONF"
        )
    if said.code and any(word in words for word in SILENT):
        raise _Silence(f"Slurm does not answer: {said.last}")
    return said


def environment(epochs: bool = False) -> dict[str, str]:
    """Ours without what changes Slurm's commands: SBATCH_PARTITION would win over the script, SLURM_* of a job we are in leak."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(PREFIXES)}
    return {**kept, "SLURM_TIME_FORMAT": "%s"} if epochs else kept
