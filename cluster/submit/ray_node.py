"""One node of a job's Ray cluster: `python -m cluster.submit.ray_node`, run by a Slurm step on the node itself.

It says what happens on its standard output, one JSON object a line ({"what": "up", "address", "cpus", "gpus"}, "note",
"told", "ended"); it answers each line of its standard input ("here"), and leaves when that ends. Both go through srun, at once
and whatever the file system does.
All else goes to standard error. When it leaves, so has every process it began; the logs are copied, its folder is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from cluster.errors import BadEnvironment, Problem
from cluster.local_session import private_folder
from cluster.submit import ports, ray_start
from cluster.submit.own_address import own_address
from cluster.submit.ray_logs import copy_logs
from cluster.submit.ray_start import RayNode

TRIES = 3
TURN_S = 0.1
TERM_S = 8.0  # Ray takes a second or two to end its processes
SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER


def main(words: Sequence[str]) -> int:
    """Run until told to leave or until Ray ends. Returns the exit code."""
    given = _parse(words)
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: leave.set())
    threading.Thread(target=_until_input_ends, args=(leave,), daemon=True).start()
    # what Ray's processes leave behind becomes our child, so that nothing is out of sight
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each worker holds hundreds of connections
    try:
        home = _home(Path(given.scratch))
    except Problem as problem:
        return _ended(problem)
    try:
        return _run(given, home, leave)
    except Problem as problem:
        return _ended(problem)
    finally:
        _end_all()
        copy_logs(home, Path(given.attempt) / "ray-logs" / given.name)
        shutil.rmtree(home, ignore_errors=True)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cluster.submit.ray_node", description="One node of a job's Ray cluster.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--head", action="store_true", help="this node is the head")
    where.add_argument("--address", help="the head's HOST:PORT")
    parser.add_argument("--name", required=True, help="the node's name in Slurm")
    parser.add_argument("--host", required=True, help="what Slurm calls the node's address")
    parser.add_argument("--peer", help="another node's address, to find the way to it")
    parser.add_argument("--interface", help="the interface whose address is used")
    parser.add_argument("--salt", required=True, help="chooses the ports: the job and how often it was requeued")
    parser.add_argument("--ports", required=True, type=int, nargs=2, metavar=("FIRST", "END"))
    parser.add_argument("--scratch", required=True, help="a folder on the node for Ray's own files")
    parser.add_argument("--attempt", required=True, help="the attempt's folder: its token, and where logs go")
    return parser.parse_args(words)


def _home(scratch: Path) -> Path:
    """A folder of our own, short enough for sockets. Raises BadEnvironment."""
    try:
        home = private_folder(scratch, "w2s-job-")
    except OSError as error:
        what = f"cannot be used on {os.uname().nodename}: {error.strerror}"
        raise BadEnvironment(f"node_scratch {scratch}", what, "set node_scratch in the site file") from None
    if len(os.fsencode(home)) + 3 + ray_start.SESSION_PATH_BYTES > ray_start.SOCKET_PATH_BYTES:
        shutil.rmtree(home, ignore_errors=True)
        raise BadEnvironment(f"node_scratch {scratch}", "is too long a path for sockets", "choose one under 25 letters")
    return home


def _run(given: argparse.Namespace, home: Path, leave: threading.Event) -> int:
    """Bring Ray up, with other ports where it dies of them, and stay until it ends or we are to leave."""
    ip = own_address(given.interface, given.host, given.peer)
    cpus = ray_start.cpus_of(os.environ)
    gpus, note = ray_start.gpus_of(os.environ)
    if note:
        _say(what="note", text=note)
    environment = ray_start.environment(Path(given.attempt) / "token", os.environ)
    code = 0
    for turn in range(TRIES):
        chosen = ports.pick(tuple(given.ports), cpus, f"{given.salt}/{given.name}/{turn}")
        node = RayNode(given.name, ip, cpus, gpus, chosen, home / str(turn), given.address)
        sys.stderr.write(f"starting Ray on {given.name}, {ip}: {chosen}\n")
        sys.stderr.flush()
        ray = subprocess.Popen(
            ray_start.argv(node), env=environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        up = threading.Event()
        threading.Thread(target=_pass_on, args=(ray, up), daemon=True).start()
        _wait(ray, up, leave)
        if up.is_set() and not leave.is_set():
            _say(what="up", address=node.address, cpus=cpus, gpus=gpus)
            _wait(ray, leave, leave)
        if leave.wait(1.0):  # a TERM for all of the step may have reached Ray first
            _say(what="told", text="to leave")
            return 0
        code = ray.wait()
        if up.is_set():
            raise BadEnvironment(f"Ray on {given.name}", f"ended by itself, with exit code {code}")
        _end_all()
    raise BadEnvironment(f"Ray on {given.name}", f"did not start in {TRIES} tries, last with exit code {code}")


def _wait(ray: subprocess.Popen[str], reached: threading.Event, leave: threading.Event) -> None:
    """Until something is reached, we are to leave, or Ray has ended."""
    while not (reached.is_set() or leave.is_set()) and ray.poll() is None:
        leave.wait(TURN_S)


def _pass_on(ray: subprocess.Popen[str], up: threading.Event) -> None:
    """What Ray prints is our log; its word that it runs is noted."""
    for line in ray.stdout or ():
        sys.stderr.write(line)
        sys.stderr.flush()
        if ray_start.STARTED in line:
            up.set()


def _until_input_ends(leave: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            _say(what="here")
    leave.set()


def _end_all() -> None:
    """End every process that came of us, Ray's own way first."""
    ours = psutil.Process().children(recursive=True)
    for process in psutil.Process().children():  # `ray start` ends its own; workers lose their raylet and leave
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(ours, timeout=TERM_S)
    for process in {*left, *psutil.Process().children(recursive=True)}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=TERM_S)


def _ended(problem: Problem) -> int:
    _say(what="ended", problem=problem.record())
    return problem.exit_code


def _say(**words: object) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
