"""A small srun step on two nodes, for `doctor --slurm --probe`: do they see the store, each other's ports, the same time?

`python -m cluster.slurm_probe STORE MARK FIRST LAST [INTERFACE]` is what runs on a node; the nodes find each other through
the store.
"""

from __future__ import annotations

import json
import os
import platform
import random
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.errors import BadEnvironment, Problem
from cluster.files import open_files
from cluster.store_mark import store_fault
from cluster.submit.own_address import own_address
from cluster.submit.site import Site
from cluster.submit.slurm_ask import ask

ANSWER = "w2s-probe: "
START_S = 90  # for nodes to be free; a doctor does not wait in a queue
MEET_S = 30.0
TURN_S = 0.2
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class SeenNode:
    """A node as the step on it found it. `store` is "" where it sees our mark and can write.

    `unreached` says why it did not reach the other node's port ("" when it did, None where there is no other);
    `apart_s` is how far the other's clock is ahead of its own.
    """

    name: str
    python: str
    store: str
    unreached: str | None = None
    apart_s: float | None = None


def run(site: Site, store: str, mark: str, nodes: int) -> list[SeenNode]:
    """The step, on so many nodes. Raises BadEnvironment when it gets none in time, or our code does not run there."""
    wishes = {
        "partition": site.partition, "account": site.account, "qos": site.qos,
        "constraint": site.constraint, "reservation": site.reservation,
    }  # fmt: skip
    argv = [
        "srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--time=5", f"--immediate={START_S}",
        "--job-name=w2s-doctor", *(f"--{name}={value}" for name, value in wishes.items() if value), *site.extra,
        "env", f"PYTHONPATH={ROOT}", site.python or sys.executable, "-m", "cluster.slurm_probe",
        store, mark, *map(str, site.ports), *([site.interface] if site.interface else []),
    ]  # fmt: skip
    said = ask(argv, patient=False, timeout_s=START_S + 2 * MEET_S + 30)
    lines = [line.partition(ANSWER)[2] for line in said.out.splitlines() if ANSWER in line]
    if len(lines) < nodes:
        remedy = "are two nodes free now (`sinfo`)? is the site file's `python` there without its setup lines?"
        raise BadEnvironment("srun", f"{len(lines)} of {nodes} nodes answered: {said.last}", remedy)
    return sorted((SeenNode(**json.loads(line)) for line in lines), key=lambda node: node.name)


def look(store: str, mark: str, ports: tuple[int, int], interface: str | None) -> SeenNode:
    """Runs on a node: what it sees of the store, and of the next node."""
    rank, ranks = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
    name = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    seen = SeenNode(name, platform.python_version(), store_fault(store, mark))
    if ranks < 2:
        return seen
    if seen.store:
        return SeenNode(name, seen.python, seen.store, "not tried: they find each other through the store")
    address = own_address(interface, name, None)
    with _listening(address, ports) as server:
        files = open_files(store)
        files.create(f"{mark}/{rank}.json", json.dumps([address, server.getsockname()[1]]).encode())
        answering = threading.Thread(target=_answer_once, args=(server,), daemon=True)
        answering.start()
        unreached, apart_s = _ask_the_time(store, f"{mark}/{(rank + 1) % ranks}.json")
        answering.join(MEET_S)
    return SeenNode(name, seen.python, seen.store, unreached, apart_s)


def _listening(address: str, ports: tuple[int, int]) -> socket.socket:
    """On a port from among those that Ray's nodes will use: a firewall may let these alone pass."""
    for _ in range(50):
        server = socket.socket()
        try:
            server.bind((address, random.SystemRandom().randrange(*ports)))
        except OSError:
            server.close()
            continue
        server.listen()
        server.settimeout(MEET_S)
        return server
    raise BadEnvironment(address, f"no free port between {ports[0]} and {ports[1]}", "change `ports` in the site file")


def _answer_once(server: socket.socket) -> None:
    try:
        with server.accept()[0] as asker:
            asker.sendall(repr(time.time()).encode())
    except OSError:  # nobody came: they will say so
        return


def _ask_the_time(store: str, place: str) -> tuple[str, float | None]:
    """Why the other node was not reached, or how far its clock is ahead."""
    files = open_files(store)
    deadline = time.monotonic() + MEET_S
    while not files.exists(place):
        if time.monotonic() > deadline:
            return "what it wrote into the store does not show", None
        time.sleep(TURN_S)
    address, port = json.loads(files.read(place))
    began = time.time()
    try:
        with socket.create_connection((address, port), timeout=MEET_S) as there:
            theirs = float(there.recv(64))
    except (OSError, ValueError) as error:
        return f"{address}:{port}: {error}", None
    return "", theirs - (began + time.time()) / 2


def main(argv: list[str]) -> int:
    store, mark, first, last, *interface = argv
    try:
        seen = look(store, mark, (int(first), int(last)), interface[0] if interface else None)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    sys.stdout.write(f"{ANSWER}{json.dumps(asdict(seen))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
