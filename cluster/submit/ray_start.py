"""The `ray start` of one node of a job, as text: its arguments, its environment, and what of the node is the job's."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.ray_connect import OBJECT_STORE_BYTES
from cluster.submit.ports import Ports

STARTED = "Ray runtime started."  # said when the control store has counted the node
SOCKET_PATH_BYTES = 107
SESSION_PATH_BYTES = 66  # session_2026-11-21_23-06-12_897751_1983500/sockets/plasma_store.1
SCRUBBED = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_TMPDIR", "RAY_NAMESPACE", "RAY_OVERRIDE_RESOURCES")


@dataclass(frozen=True)
class RayNode:
    """One node of the job's Ray cluster. `head` is the head's HOST:PORT, None for the head itself."""

    name: str
    ip: str
    cpus: int
    gpus: int
    ports: Ports
    temp: Path
    head: str | None = None

    @property
    def address(self) -> str:
        """HOST:PORT of the cluster."""
        return self.head or f"{self.ip}:{self.ports.gcs}"


def argv(node: RayNode) -> list[str]:
    """The command that runs a node's Ray processes until it is ended."""
    ports = node.ports
    if node.head is None:
        # no dashboard: Tune and gangs need none; a small server of its kind runs all the same, on loopback
        where = ["--head", f"--port={ports.gcs}", "--include-dashboard=false", "--dashboard-host=127.0.0.1"]
        where += [f"--dashboard-port={ports.dashboard}", f"--ray-client-server-port={ports.client}"]
    else:
        where = [f"--address={node.head}"]
    return [
        sys.executable, "-m", "ray.scripts.scripts", "start", *where,
        f"--node-ip-address={node.ip}", f"--node-name={node.name}",
        f"--num-cpus={node.cpus}", f"--num-gpus={node.gpus}", f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={node.temp}",
        f"--node-manager-port={ports.node_manager}", f"--object-manager-port={ports.object_manager}",
        f"--runtime-env-agent-port={ports.runtime_env_agent}", f"--dashboard-agent-grpc-port={ports.agent_grpc}",
        f"--dashboard-agent-listen-port={ports.agent_http}", f"--metrics-export-port={ports.metrics}",
        f"--min-worker-port={ports.workers[0]}", f"--max-worker-port={ports.workers[1]}",
        "--disable-usage-stats", "--log-style=record", "--log-color=false", "--block",
    ]  # fmt: skip


def environment(token: Path, given: Mapping[str, str]) -> dict[str, str]:
    """`given` as every process of the cluster and every driver needs it; how to authenticate is always said outright.

    Left to itself Ray turns authentication on for the head and not for those who join it.
    """
    kept = {name: value for name, value in given.items() if name not in SCRUBBED}
    return {
        **kept,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker without GPUs keeps the job's CUDA settings
    }


def cpus_of(environment: Mapping[str, str]) -> int:
    """The CPUs that Slurm gave the step on this node."""
    return max(1, int(environment.get("SLURM_CPUS_ON_NODE", "1")))


def gpus_of(environment: Mapping[str, str]) -> tuple[int, str]:
    """The GPUs that the step can see, and a note where Slurm says that there are others.

    Slurm counts what it gave; only CUDA_VISIBLE_DEVICES says what a process will find. Made-up GPUs and those that are
    merely counted leave it empty.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    seen = 0 if visible == "NoDevFiles" else len([device for device in visible.split(",") if device.strip()])
    given = environment.get("SLURM_GPUS_ON_NODE", "")
    if seen == 0 and given.isdigit() and int(given):
        return 0, f"Slurm gave {given} GPUs but CUDA_VISIBLE_DEVICES names none: Ray is started without GPUs"
    return seen, ""
