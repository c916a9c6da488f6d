"""What a cluster's users must say once about it: account, partition, how GPUs are asked for, how the software is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Site:
    """A site. Every field has a default that works on a plain Slurm; `slurm/site.example.yaml` explains each.

    `setup` are lines of shell, trusted as they are: they are the user's own. All else is a value and is never executed.
    """

    # who pays, and where it may run
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    exclusive: bool = True  # whole nodes
    extra: tuple[str, ...] = ()  # further #SBATCH flags, such as --mail-type=FAIL

    # what a node has
    gpus_per_node: int = 0
    gpu_flag: Literal["gpus-per-node", "gres"] = "gpus-per-node"
    gpu_type: str | None = None  # a100: asked for by name
    gpu_memory_mib: int | None = None  # what `w2s submit --check` counts with
    cpus_per_node: int | None = None  # None: as many as the work needs
    memory_per_node_mib: int | None = None  # None: all of it

    # how long, and what happens before the end
    time_limit_s: int = 86_400
    grace_s: int = 120  # notice before the end: what runs saves in it
    requeues: int = 50  # how often a job goes back to the queue before somebody should look

    # the software
    setup: tuple[str, ...] = ()  # module load ..., source .../activate
    python: str | None = None  # None: the one that submits
    environment: dict[str, str] = field(default_factory=dict)  # set on every node
    forward: tuple[str, ...] = ()  # names of the submitter's variables that travel along; nothing else does

    # where files are
    store: str | None = None
    jobs: str | None = None  # orders' folders, for a store that is no folder; default ~/.w2s/jobs
    node_scratch: str = "/tmp"  # noqa: S108 - a folder of the job's own is made in it, and refused if it is another's
    # the network
    interface: str | None = None  # ib0: the address Ray's nodes use among themselves; None: the host name's
    ports: tuple[int, int] = (20_000, 32_000)  # Ray's, below those the kernel gives out of itself
    up_timeout_s: int = 300  # until every node has joined
