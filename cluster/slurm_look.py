"""Facts about a Slurm cluster for `doctor --slurm`, as its own commands tell them, read into plain values. Nothing is started."""

from __future__ import annotations

import getpass
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.errors import BadEnvironment
from cluster.submit.slurm_ask import ask
from cluster.submit.slurm_words import seconds

NEEDED = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
USEFUL = ("sacct",)
FORMAT = "%P|%a|%l|%D|%T|%c|%m|%G"
GPU = re.compile(r"\bgpu(?::[A-Za-z][^:,(]*)?:(\d+)")


@dataclass(frozen=True)
class Partition:
    """A partition: how many of its nodes are in which state, and what the largest of them has.

    `limit_s` None: jobs may run for ever. `memory_mib` and `gpus` are a node's.
    """

    name: str
    is_default: bool
    up: bool
    limit_s: float | None
    states: Mapping[str, int]
    cpus: int
    memory_mib: int
    gpus: int

    @property
    def nodes(self) -> int:
        return sum(self.states.values())


def programs() -> dict[str, str | None]:
    """Where Slurm's commands lie."""
    return {name: shutil.which(name) for name in (*NEEDED, *USEFUL)}


def version() -> str:
    """Of the commands here. Raises BadEnvironment."""
    return ask(["sinfo", "--version"], patient=False).out.strip()


def controllers() -> str:
    """What `scontrol ping` says of the controllers, in a line; "" when none is up. Raises BadEnvironment."""
    said = ask(["scontrol", "ping"], patient=False)
    lines = said.out.split("\n")
    return "; ".join(line.strip() for line in lines if line.strip()) if " UP" in said.out else ""


def config() -> dict[str, str]:
    """`scontrol show config`. Raises BadEnvironment."""
    return parse_config(ask(["scontrol", "show", "config"]).out)


def partitions() -> list[Partition]:
    """Raises BadEnvironment."""
    return parse_partitions(ask(["sinfo", "--noheader", "--format", FORMAT]).out)


def accounts() -> list[str] | None:
    """The accounts we may charge; None where Slurm keeps no accounts, or does not tell."""
    argv = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={getpass.getuser()}"]
    try:
        said = ask([*argv, "format=account"], patient=False)
    except BadEnvironment:
        return None
    return sorted({line.strip() for line in said.out.splitlines() if line.strip()}) if said.code == 0 else None


def parse_config(text: str) -> dict[str, str]:
    """`Name = value` lines."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip()}


def parse_partitions(text: str) -> list[Partition]:
    """`sinfo --format FORMAT`: a line for each partition and state and shape of node."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) != len(FORMAT.split("|")):
            continue
        starred, up, limit, count, state, cpus, memory, gres = fields
        name = starred.rstrip("*")
        old = found.get(name) or Partition(name, starred != name, up == "up", seconds(limit), {}, 0, 0, 0)
        word = state.rstrip("*~#!%$@^-+")
        found[name] = Partition(
            name,
            old.is_default,
            old.up,
            old.limit_s,
            {**old.states, word: old.states.get(word, 0) + int(count)},
            max(old.cpus, _number(cpus)),
            max(old.memory_mib, _number(memory)),
            max(old.gpus, sum(int(number) for number in GPU.findall(gres))),
        )
    return list(found.values())


def _number(text: str) -> int:
    """Of `64` or `64+`, which is what sinfo says of nodes that differ."""
    digits = text.rstrip("+")
    return int(digits) if digits.isdigit() else 0
