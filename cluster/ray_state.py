"""What Ray's control store knows: nodes, drains, and placement groups whose maker is dead. Needs no dashboard.

Ray removes a placement group when its maker and the whole job are dead. The Ray Train controller that was killed leaves
its group, and with it a gang's CPUs and GPUs, until the driver ends; Ray Train's own cleaner asks the State API, which
only a dashboard serves. The table in the control store says as much, and says who made what.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray
from ray._private.state import state
from ray.util.placement_group import PlacementGroup, remove_placement_group

from cluster.placement import Node

CONTROLLER = "TrainController"  # the class of Ray Train's controller actor


def nodes() -> list[Node]:
    """The living nodes, with what they have in all."""
    living = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [Node(n.get("CPU", 0.0), n.get("GPU", 0.0)) for n in living]


def draining() -> set[str]:
    """Ids of nodes that will be taken away."""
    return set(state.get_draining_nodes() or {})


def node_of(actor: Any) -> str:
    """The node an actor is on; "" while it is on none."""
    address = state.actor_table(actor._actor_id.hex()).get("Address", {})
    return str(address.get("NodeID", ""))


def is_placed(maker: str) -> bool:
    """Whether an actor (by hex id) has made a placement group that has got its place."""
    return any(group.creator_actor_id.hex() == maker and group.state == group.CREATED for group in _groups())


def remove_orphaned_groups() -> int:
    """Remove the placement groups of our own job whose maker is dead; nobody else's. Returns how many there were."""
    job = ray.get_runtime_context().get_job_id()
    orphans = [
        group.placement_group_id
        for group in _groups()
        if group.creator_job_id.hex() == job
        and not ray.ActorID(group.creator_actor_id).is_nil()  # a driver's own group says that its actor is dead
        and group.creator_actor_dead
        and not group.is_detached
    ]
    for orphan in orphans:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(orphan)))
    return len(orphans)


def controllers_alive() -> int:
    """How many Ray Train controllers of our own job are not dead yet."""
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    actors = state.actor_table(None, job).values()
    return sum(actor["ActorClassName"] == CONTROLLER and actor["State"] != "DEAD" for actor in actors)


def _groups() -> Iterator[Any]:
    """The rows of the control store's table of placement groups that still hold or wait for something."""
    from ray.core.generated import gcs_pb2

    for row in state._connect_and_get_accessor().get_placement_group_table():
        group = gcs_pb2.PlacementGroupTableData.FromString(row)  # type: ignore[attr-defined]
        if group.state != group.REMOVED:
            yield group
