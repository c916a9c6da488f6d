"""A Ray cluster as an administrator starts one, for tests: `ray start --head` with a dashboard, a token and ports of its own."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

# all that a head has fixed by default, and would share with another head of this machine
PORTS = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")
UP_S = 60


@dataclass(frozen=True)
class RayHead:
    """A running head: its dashboard's and its own address, and the file with its token."""

    url: str
    address: str
    token: Path
    cpus: int


@contextmanager
def ray_head(cpus: int) -> Iterator[RayHead]:
    """One on loopback, up and with room for jobs; every process of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="w2s-head-", dir="/tmp"))  # short: sockets are in it
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
    env |= {"RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    argv = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--num-cpus={cpus}",
        f"--object-store-memory={80 * 2**20}", f"--temp-dir={folder}/ray", *(f"--{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        for name in ("dashboard-port", "dashboard-agent-listen-port"):
            _wait_for(ports[name], process, folder / "out")
        yield RayHead(f"http://127.0.0.1:{ports['dashboard-port']}", f"127.0.0.1:{ports['port']}", token, cpus)
    finally:
        _end(process, folder)


def _wait_for(port: int, process: subprocess.Popen[bytes], out: Path) -> None:
    deadline = time.monotonic() + UP_S
    while True:
        for host in ("127.0.0.1", socket.gethostname()):
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
                return
        assert process.poll() is None, out.read_text()
        assert time.monotonic() < deadline, out.read_text()
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """By what they are: whatever of this cluster has lost its parent still names the folder."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    ours = [process.pid]
    for one in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in one.info["cmdline"] or ()):
            ours.append(one.pid)
    for pid in ours:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """In a row, below those the kernel gives out of itself and apart from Ray's for workers."""
    for _ in range(100):
        first = random.SystemRandom().randrange(20_000, 32_000 - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("", port))
            except OSError:
                continue
            return list(range(first, first + count))
    raise AssertionError("no free ports for a Ray head")
