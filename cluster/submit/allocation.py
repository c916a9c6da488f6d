"""What Slurm gave a job, as the variables of its batch step tell it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cluster.errors import BadEnvironment
from cluster.submit import scontrol


@dataclass(frozen=True)
class Allocation:
    """The nodes of a job. The first one is where its batch script runs; `cpus` and `hosts` are in the order of `nodes`.

    `job` is what `scontrol` calls the job: 12, or 12_3 for the element of an array. `hosts` are Slurm's addresses of nodes.
    """

    job: str
    slurm_job: str  # the number of this very job, an element's own
    element: int
    restarts: int
    nodes: tuple[str, ...]
    cpus: tuple[int, ...]
    hosts: tuple[str, ...]


def allocation(
    env: Mapping[str, str],
    hostnames: Callable[[str], tuple[str, ...]] = scontrol.hostnames,
    addresses: Callable[[tuple[str, ...]], Mapping[str, str]] = scontrol.node_addresses,
) -> Allocation:
    """The allocation of the job this process is in. Raises BadEnvironment outside of a job."""
    try:
        number, nodelist, cpus_text = env["SLURM_JOB_ID"], env["SLURM_JOB_NODELIST"], env["SLURM_JOB_CPUS_PER_NODE"]
    except KeyError as missing:
        remedy = "this program is what a job's batch script runs; `w2s submit --to slurm` makes such a job"
        raise BadEnvironment(str(missing.args[0]), "is not set", remedy) from None
    names, counts = hostnames(nodelist), cpus_per_node(cpus_text)
    if len(names) != len(counts):
        raise BadEnvironment("SLURM_JOB_CPUS_PER_NODE", f"'{cpus_text}' does not fit the nodes {nodelist}")
    cpus = dict(zip(names, counts, strict=True))
    first = env.get("SLURMD_NODENAME", names[0])
    nodes = tuple(sorted(names, key=lambda name: name != first))  # stable: the rest keep their order
    hosts = addresses(nodes)
    task = env.get("SLURM_ARRAY_TASK_ID")
    # the last element of an array has the number of the whole: only 12_3 never means the others
    job = f"{env['SLURM_ARRAY_JOB_ID']}_{task}" if task is not None else number
    return Allocation(
        job, number, int(task or 0), int(env.get("SLURM_RESTART_COUNT", "0")), nodes,
        tuple(cpus[name] for name in nodes), tuple(hosts[name] for name in nodes),
    )  # fmt: skip


def cpus_per_node(text: str) -> list[int]:
    """`2(x2),4` -> [2, 2, 4]. Raises BadEnvironment."""
    counts: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if found is None:
            raise BadEnvironment("SLURM_JOB_CPUS_PER_NODE", f"cannot be read: '{text}'")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts
