"""How a node's Ray is started: every port said outright, authentication too, and only what the job was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.submit.ports import block, block_size
from cluster.submit.ray_start import RayNode, argv, cpus_of, environment, gpus_of


def test_every_port_and_how_to_authenticate_are_said_outright(tmp_path: Path) -> None:
    ports = block(20_000, block_size(2))
    head = RayNode("w1", "10.0.0.1", 2, 1, ports, tmp_path)
    worker = RayNode("w2", "10.0.0.2", 2, 1, ports, tmp_path, head.address)
    assert head.address == "10.0.0.1:20000"
    assert {"--head", "--port=20000", "--num-gpus=1", "--node-name=w1", "--block"} <= set(argv(head))
    assert "--address=10.0.0.1:20000" in argv(worker)
    assert not any(word.startswith(("--port", "--dashboard-host", "--include")) for word in argv(worker))
    env = environment(tmp_path / "token", {"RAY_AUTH_TOKEN": "mine", "RAY_ADDRESS": "other:1", "HOME": "/h"})
    assert env["RAY_AUTH_MODE"] == "token"
    assert env["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "token")
    assert env["HOME"] == "/h"
    assert not {"RAY_AUTH_TOKEN", "RAY_ADDRESS"} & set(env)


@pytest.mark.parametrize(
    ("env", "gpus", "noted"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,3", "SLURM_GPUS_ON_NODE": "2"}, 2, False),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a2b"}, 1, False),
        ({"CUDA_VISIBLE_DEVICES": "", "SLURM_GPUS_ON_NODE": "2"}, 0, True),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 0, False),
        ({"SLURM_GPUS_ON_NODE": "0"}, 0, False),
        ({}, 0, False),
    ],
)
def test_gpus_are_those_that_can_be_seen(env: dict[str, str], gpus: int, noted: bool) -> None:
    count, note = gpus_of(env)
    assert (count, bool(note)) == (gpus, noted)
    assert cpus_of({**env, "SLURM_CPUS_ON_NODE": "6"}) == 6
