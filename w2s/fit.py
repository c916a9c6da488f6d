"""What a learner's training needs on its machine: memory by ZeRO stage, and the stage and micro-batch `auto` would take."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from cluster import surroundings
from cluster.errors import Problem
from cluster.memory import STAGES, Choice, Device, Load, Memory, Task, Wanted, choose, estimate, proposal, text
from cluster.sizes import Sizes
from cluster.zero import Zero
from w2s.learner import Learner
from w2s.machines import Machine


@dataclass(frozen=True)
class Fit:
    """`choice` None and a `note`: nothing fits, and why. A `note` beside a choice: it is forced, and does not fit.

    `by_stage` holds the memory of every ZeRO stage at the chosen micro-batch (key "plain": one device, without DeepSpeed).
    """

    device: Device
    choice: Choice | None
    by_stage: dict[str, Memory]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "device_bytes": self.device.bytes,
            "gpu": self.device.gpu,
            "zero": self.choice.zero if self.choice else None,
            "micro_batch": self.choice.micro if self.choice else None,
            "misses_bytes": self.choice.misses if self.choice else None,
            "memory": {name: memory.to_json() for name, memory in self.by_stage.items()},
            "note": self.note,
        }


def fit(learner: Learner, machine: Machine, sizes: Sizes, device: Device) -> Fit:
    """How a learner would train there, with every row as long as `max_tokens` allows. Raises nothing: what is wrong is noted."""
    task, ranks = Task(sizes, rows_of(learner, machine.devices), learner.max_tokens, learner.precision), machine.devices
    asked = wanted(machine)
    choice, note = None, ""
    try:
        choice = choose(task, device, ranks, asked)
    except Problem as problem:
        note = f"{problem.what}; {problem.remedy}"
    if choice and choice.misses:
        note = f"{text(choice.misses)} too much for {text(device.bytes)}; {proposal(task, device, ranks, asked)}"
    share = max(1, task.batch // ranks)
    micro = choice.micro if choice else asked.micro or 1
    by_stage = {}
    for zero in _zeros(machine, asked):
        load = Load(
            zero, ranks, micro, task.tokens, task.precision, device.gpu, asked.gradient_checkpointing, micro < share
        )
        by_stage[str(zero.stage) if zero else "plain"] = estimate(sizes, load)
    return Fit(device, choice, by_stage, note)


def wanted(machine: Machine) -> Wanted:
    """What a machine asks for. One device without a ZeRO stage or offload trains without DeepSpeed."""
    micro = None if machine.micro_batch == "auto" else machine.micro_batch
    zero = machine.zero if machine.is_gang else "plain"
    return Wanted(zero, micro, machine.offload, machine.nvme_path, machine.gradient_checkpointing, machine.compile)


def rows_of(learner: Learner, devices: int) -> int:
    """Rows of a global batch; a budget of tokens is counted in its longest rows, of which every device has one."""
    if learner.batch_tokens is None:
        return learner.batch
    return devices * max(1, learner.batch_tokens // learner.max_tokens // devices)


def local_device(machine: Machine, memory: int | None = None) -> Device:
    """What a machine's rank would have here: `memory` (a GPU's, if the machine wants one), else this GPU's, else its share of RAM."""
    gpu = (memory or _gpu_bytes()) if machine.gpus else None
    if gpu:
        return Device(int(gpu * machine.gpus), gpu=True)
    a_node = -(-machine.devices // (machine.nodes or 1))
    ram = memory or surroundings.memory().total // a_node
    return Device(ram, gpu=False)


def _zeros(machine: Machine, asked: Wanted) -> list[Zero | None]:
    if asked.zero == "plain":
        return [None]
    offloads = {"none": STAGES, "cpu": STAGES[1:], "nvme": STAGES[3:]}[machine.offload]
    return [Zero(stage, machine.offload, machine.nvme_path) for stage in offloads]


def _gpu_bytes() -> int | None:
    """Memory of the smallest GPU nvidia-smi sees; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    argv = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
        return min(int(line) for line in done.stdout.split()) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
