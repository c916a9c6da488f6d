"""Facts about a Ray cluster that is already there, for `doctor --ray`: asked from inside, a task on each of its nodes.

From here where the cluster can be joined (HOST:PORT); else as a Ray job, which `python -m cluster.ray_probe` is:
a dashboard's address (http://...) is all that is known of a cluster behind a tunnel.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

from cluster import ray_connect, surroundings
from cluster.errors import Problem
from cluster.store_mark import store_fault

PATIENCE_S = 45.0  # a busy node starts a process late, and one with GPUs loads torch
ANSWER = "w2s-probe: "


@dataclass(frozen=True)
class SeenNode:
    """A living node as Ray counts it, and as a task on it found it; `seen` False: the task did not end in time, or `error`.

    `torch_gpus` and `driver_gpus` are None where nobody looked; `store` is "" where the node sees our mark and can write.
    """

    name: str
    cpus: float
    gpus: float
    object_store: float  # bytes
    seen: bool = False
    error: str = ""
    python: str = ""
    torch_gpus: int | None = None
    driver_gpus: int | None = None
    store: str = ""


@dataclass(frozen=True)
class SeenCluster:
    """What a driver on the cluster found. `dashboard` is HOST:PORT, "" where there is none; `token`: it asks for one."""

    ray: str
    python: str
    dashboard: str
    token: bool
    nodes: tuple[SeenNode, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SeenCluster:
        fields = json.loads(text)
        return cls(**{**fields, "nodes": tuple(SeenNode(**node) for node in fields["nodes"])})


def join(address: str, store: str, mark: str) -> SeenCluster:
    """Join the cluster at HOST:PORT, look, and leave. Raises BadEnvironment when it cannot be joined."""
    try:
        ray_connect.connect(address)
        return look(store, mark)
    finally:
        ray_connect.disconnect()


def look(store: str, mark: str) -> SeenCluster:
    """Ask every node of the cluster this process is connected to."""
    import ray
    from ray._private.authentication.authentication_utils import is_token_auth_enabled
    from ray._private.worker import global_worker
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(on_node)
    living = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    calls = {}
    for node in living:
        options: Any = remote.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            # Ray hides the GPUs from a task without any; we want to know what one with them would see
            runtime_env={"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}},
        )
        calls[options.remote(store, mark, node["Resources"].get("GPU", 0.0))] = node
    done, _ = ray.wait(list(calls), num_returns=len(calls), timeout=PATIENCE_S)
    found = {call: _answer(call) for call in done}
    for call in calls.keys() - found.keys():
        ray.cancel(call, force=True)
    nodes = tuple(_seen(node, found.get(call)) for call, node in calls.items())
    worker: Any = global_worker
    url = worker.node.address_info.get("webui_url") or ""
    return SeenCluster(ray.__version__, platform.python_version(), url, is_token_auth_enabled(), nodes)


def on_node(store: str, mark: str, gpus: float) -> dict[str, Any]:
    """Runs on a node: what it is, and what it sees of the store and of its GPUs."""
    driver = surroundings.nvidia_smi(os.environ.get("PATH", ""))
    torch = surroundings.torch_gpus() if gpus or driver else None  # torch takes seconds to load
    return {
        "python": platform.python_version(),
        "torch_gpus": len(torch.names) if torch else None,
        "driver_gpus": len(driver) if driver else None,
        "store": store_fault(store, mark),
    }


def _answer(call: Any) -> dict[str, Any]:
    import ray

    try:
        found: dict[str, Any] = ray.get(call)
    except Exception as error:  # our code is not there, its environment failed, the node died
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"error": lines[-1][:300] if lines else type(error).__name__}
    return found


def _seen(node: Any, found: dict[str, Any] | None) -> SeenNode:
    has = node["Resources"]
    name = node.get("NodeName") or node["NodeManagerAddress"]
    own = SeenNode(name, has.get("CPU", 0.0), has.get("GPU", 0.0), has.get("object_store_memory", 0.0))
    if found is None:
        return own
    return SeenNode(**{**asdict(own), **found, "seen": "error" not in found})


def main(argv: list[str]) -> int:
    """As a Ray job: STORE MARK in, one line of JSON out."""
    store, mark = argv
    try:
        found = join("auto", store, mark)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    sys.stdout.write(f"{ANSWER}{found.to_json()}\n")
    return 0


def answer_in(text: str) -> SeenCluster | None:
    """What a probe that ran as a job printed; None if it got nowhere."""
    lines = [line.removeprefix(ANSWER) for line in text.splitlines() if line.startswith(ANSWER)]
    return SeenCluster.from_json(lines[-1]) if lines else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
