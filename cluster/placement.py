"""Where a gang's ranks go: whether they fit at all, and how they are spread over nodes. Plain numbers, no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.errors import BadEnvironment
from cluster.job import Resources

Strategy = Literal["STRICT_PACK", "PACK", "STRICT_SPREAD"]
EXACT = 1e-9  # fractions of a CPU or GPU are added up in floating point


@dataclass(frozen=True)
class Node:
    """What one living node of the cluster has in all, used or not."""

    cpus: float
    gpus: float

    def holds(self, shape: Resources) -> int:
        """How many processes of a shape fit on the node when it is empty."""
        fits = [int(self.cpus / shape.cpus + EXACT)] if shape.cpus > 0 else []
        fits += [int(self.gpus / shape.gpus + EXACT)] if shape.gpus > 0 else []
        return min(fits, default=10**9)


def strategy(shape: Resources, nodes: Sequence[Node]) -> Strategy:
    """Ray's placement strategy for a gang that `refuse_gang` let through."""
    if shape.nodes is not None and shape.nodes == shape.ranks > 1:
        return "STRICT_SPREAD"
    if shape.nodes in (None, 1) and any(node.holds(shape) >= shape.ranks for node in nodes):
        return "STRICT_PACK"
    return "PACK"


def refuse_solo(name: str, shape: Resources, nodes: Sequence[Node]) -> None:
    """Raise BadEnvironment when no node could ever hold the job."""
    most = Node(max((n.cpus for n in nodes), default=0.0), max((n.gpus for n in nodes), default=0.0))
    for noun, asked, there in (("CPUs", shape.cpus, most.cpus), ("GPUs", shape.gpus, most.gpus)):
        if asked > there:
            what = f"asks for {asked:g} {noun}, and the largest node has {there:g}"
            raise BadEnvironment(name, what, "lower it under machines, or use larger nodes")


def refuse_gang(name: str, shape: Resources, nodes: Sequence[Node]) -> None:
    """Raise BadEnvironment when the whole cluster, empty, could not hold the gang as it asks to be placed."""
    holds = [node.holds(shape) for node in nodes]
    if shape.nodes is not None:
        each = -(-shape.ranks // shape.nodes)
        enough = sum(count >= each for count in holds) >= shape.nodes
        how = f" on {shape.nodes} node{'s' if shape.nodes > 1 else ''}"
    else:
        enough, how = sum(holds) >= shape.ranks, ""
    if not enough:
        there = [f"{sum(node.cpus for node in nodes):g} CPUs"]
        there += [f"{sum(node.gpus for node in nodes):g} GPUs"] if shape.gpus else []
        count = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''}"
        what = f"asks for {shape.ranks} devices of {each_of(shape)} each{how}; the cluster has {count} with "
        what += f"{' and '.join(there)} in all"
        raise BadEnvironment(name, what, "lower devices or cpus under machines, or use a larger cluster")


def each_of(shape: Resources) -> str:
    """`2 CPUs and 1 GPUs`: what one process reserves."""
    return f"{shape.cpus:g} CPUs" + (f" and {shape.gpus:g} GPUs" if shape.gpus else "")
