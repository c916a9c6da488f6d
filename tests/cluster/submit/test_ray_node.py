"""One node of a job's Ray cluster, for real, without Slurm: it says when it is up, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chaos.processes import wait_until
from tests.conftest import ROOT

pytestmark = pytest.mark.ray


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="n", dir="/tmp") as folder:
        yield Path(folder)


def begin(scratch: Path, attempt: Path, *words: str) -> subprocess.Popen[str]:
    given = ["--name", "w1", "--host", "localhost", "--salt", f"{os.getpid()}.0", "--ports", "20000", "32000"]
    command = [sys.executable, "-m", "cluster.submit.ray_node", *words, *given]
    command += ["--scratch", str(scratch), "--attempt", str(attempt)]
    env = {**os.environ, "SLURM_CPUS_ON_NODE": "2", "SLURM_GPUS_ON_NODE": "1", "PYTHONPATH": str(ROOT)}
    env.pop("CUDA_VISIBLE_DEVICES", None)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def told(node: subprocess.Popen[str]) -> dict[str, Any]:
    assert node.stdout is not None
    words: dict[str, Any] = json.loads(node.stdout.readline())
    return words


def test_a_node_comes_up_and_leaves_nothing_behind(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0" * 64)
    node = begin(scratch, tmp_path, "--head")
    try:
        assert "Slurm gave 1 GPUs" in told(node)["text"]
        up = told(node)
        assert (up["what"], up["cpus"], up["gpus"]) == ("up", 2, 0)
        (home,) = scratch.iterdir()
        assert home.stat().st_mode & 0o077 == 0
        there = psutil.Process(node.pid).children(recursive=True)
        assert len(there) > 4
        assert node.stdin is not None
        node.stdin.close()  # the chief is gone
        assert told(node)["what"] == "told"
        assert node.wait(timeout=60) == 0
    finally:
        node.kill()
        node.wait()
        if node.stdout:
            node.stdout.close()
    assert wait_until(lambda: not any(process.is_running() for process in there), 10)
    assert list(scratch.iterdir()) == []
    assert (tmp_path / "ray-logs" / "w1" / "gcs_server.out").stat().st_size > 0


def test_what_a_node_cannot_do_is_told_to_the_chief(tmp_path: Path) -> None:
    node = begin(tmp_path / "absent", tmp_path, "--head")
    said = told(node)
    node.communicate(timeout=30)
    assert said["what"] == "ended"
    assert said["problem"]["what"].endswith("No such file or directory")
    assert said["problem"]["remedy"] == "set node_scratch in the site file"
    assert node.returncode == 3


def test_a_scratch_folder_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    node = begin(long, tmp_path, "--head")
    said = told(node)
    node.communicate(timeout=30)
    assert "too long a path for sockets" in said["problem"]["what"]
    assert list(long.iterdir()) == []
