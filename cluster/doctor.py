"""What this machine has, what will not work on it, and what to do about it: one Finding a check.

Each check is a function of facts; `examine` looks the facts up (surroundings.py) and asks all of them. Nothing is made,
changed or started. `fail` is what a plain run needs; what only some runs need, or what is merely odd, is a `warn`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster import surroundings as look
from cluster.surroundings import Gpus, Lock, Memory, Room

State = Literal["ok", "warn", "fail"]
PYTHON = (3, 11)
CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"  # in a checkout; a wheel has none
NEEDED = ("torch", "ray", "transformers", "datasets", "safetensors")  # by every run
FOR_GANGS = ("deepspeed",)
GIB = 2**30
LITTLE_MEMORY = 4 * GIB
LITTLE_DISK, NO_DISK = 5 * GIB, GIB // 4
SHM = Path("/dev/shm")  # noqa: S108 - looked at, not written to
LITTLE_SHM = 256 * 2**20  # twice the object store a local cluster of ours asks for
OPEN_FILES = 8192  # Ray's own advice; it raises the soft limit to the hard one by itself
STALE_S = 600.0
PORTS = {  # what `ray start --head` takes unless it is told otherwise
    6379: "port",
    8265: "dashboard-port",
    10001: "ray-client-server-port",
    52365: "dashboard-agent-listen-port",
}
NETWORK = ("nfs", "nfs4", "lustre", "cifs", "smb3", "beegfs", "gpfs", "ceph", "fuse.sshfs", "9p")


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do if it is not well."""

    name: str
    state: State
    found: str
    remedy: str = ""


def examine(store: str, cache: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[Finding]:
    """All checks of this machine, as they come. `say` hears before one that takes seconds."""
    yield python(sys.version_info[:3])
    tested = look.pinned_versions(CONSTRAINTS)
    for name in (*NEEDED, *FOR_GANGS):
        yield package(name, look.installed(name), tested.get(name), needed=name in NEEDED)
    yield tensorboard(look.installed("tensorboard"), importable=look.importable("tensorboard.summary"))
    yield dashboard(look.missing_of_extra("ray", "default"))
    yield ports(look.taken(PORTS))
    say("loading torch to look for GPUs")
    seen = look.torch_gpus()
    yield gpus(seen, look.nvidia_smi(os.environ.get("PATH", "")))
    yield nccl(seen)
    yield memory(look.memory())
    yield cores(*look.cores())
    yield shared_memory(look.room(SHM).free if SHM.is_dir() else None)
    yield open_files(look.open_files())
    if "://" in store and not store.startswith("file://"):
        yield Finding("store", "ok", f"{store} is remote: not looked at")
    else:
        yield disk("store", look.room(Path(store.removeprefix("file://")).expanduser()), needed=True)
    yield disk("cache", look.room(cache), needed=True)
    extensions = look.extensions_folder(os.environ)
    yield extension_builds(look.room(extensions))
    yield build_locks(look.locks(extensions), time.time())
    path = os.environ.get("PATH", "")
    yield compiler(look.compiler(os.environ), look.program("ninja", path))
    yield libaio(look.libaio())
    yield ray_auth(os.environ, look.auth_token(Path.home()))


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether a plain run will work."""
    return all(finding.state != "fail" for finding in findings)


def python(version: tuple[int, ...]) -> Finding:
    found, least = ".".join(map(str, version)), ".".join(map(str, PYTHON))
    if version < PYTHON:
        return Finding("Python", "fail", found, f"make a virtual environment with Python {least} or newer")
    return Finding("Python", "ok", found)


def package(name: str, installed: str | None, tested: str | None, *, needed: bool) -> Finding:
    """`tested` None: there is nothing to compare with."""
    if installed is None:
        state: State = "fail" if needed else "warn"
        why = "" if needed else "models on several devices need it: "
        return Finding(name, state, "not installed", f"{why}pip install {name}{f'=={tested}' if tested else ''}")
    if tested is None or installed.partition("+")[0] == tested.partition("+")[0]:
        return Finding(name, "ok", installed)
    return Finding(
        name, "warn", f"{installed}, tested with {tested}", f"if it misbehaves: pip install {name}=={tested}"
    )


def dashboard(missing: Sequence[str]) -> Finding:
    """What `ray[default]` brings: the dashboard, `ray job submit` and the State API."""
    if missing:
        found = f"ray[default] is not whole: no {', '.join(missing)}"
        return Finding("Ray dashboard", "warn", found, "pip install 'ray[default]'")
    return Finding("Ray dashboard", "ok", "ray[default] is installed")


def tensorboard(installed: str | None, *, importable: bool) -> Finding:
    """Every training stage writes its curves for it."""
    if installed is None or not importable:
        found = "not installed" if installed is None else f"{installed} is damaged: it cannot be imported"
        return Finding("TensorBoard", "fail", found, "pip install --force-reinstall tensorboard")
    return Finding("TensorBoard", "ok", installed)


def ports(taken: Sequence[int]) -> Finding:
    """Clusters that w2s starts choose free ports themselves, but for the dashboard's agent."""
    if not taken:
        return Finding("ports", "ok", f"{', '.join(map(str, PORTS))} are free")
    flags = " ".join(f"--{PORTS[port]}" for port in taken)
    remedy = f"another Ray? beside it, `ray start --head` needs others: {flags}; its Jobs API is mute without"
    return Finding("ports", "warn", f"{', '.join(map(str, taken))} are taken", remedy)


def gpus(torch: Gpus | None, driver: Sequence[str] | None) -> Finding:
    """`torch`: what torch sees (None: torch cannot be loaded); `driver`: what nvidia-smi lists (None: there is none)."""
    seen = len(torch.names) if torch else 0
    if seen == 0 and not driver:
        return Finding("GPU", "ok", "none: everything runs on the CPU")
    if torch is None:
        return Finding("GPU", "warn", f"the driver lists {len(driver or ())}; torch cannot be loaded", "install torch")
    if driver and seen < len(driver):
        if not torch.build:
            remedy = "this torch is built for CPUs: install the CUDA build"
        elif torch.chosen is not None:
            remedy = f"CUDA_VISIBLE_DEVICES is '{torch.chosen}': unset it to use all"
        else:
            remedy = f"is the driver new enough for CUDA {torch.build}?"
        return Finding("GPU", "warn", f"the driver lists {len(driver)}, torch sees {seen}", remedy)
    names = sorted(set(torch.names))
    return Finding("GPU", "ok", f"{seen} x {', '.join(names)}, torch for CUDA {torch.build}")


def nccl(torch: Gpus | None) -> Finding:
    """What the ranks of a gang talk over."""
    if torch is None or not torch.names:
        return Finding("NCCL", "ok", "not needed: without GPUs ranks talk over gloo")
    if not torch.nccl:
        return Finding("NCCL", "warn", "this torch has none", "models on several GPUs need it: install the CUDA build")
    return Finding("NCCL", "ok", torch.nccl)


def memory(found: Memory) -> Finding:
    limit = f" (this container's limit; the machine has {_gib(found.machine)})" if found.total < found.machine else ""
    what = f"{_gib(found.available)} free of {_gib(found.total)}{limit}"
    if found.available < LITTLE_MEMORY:
        remedy = f"a worker with torch takes 0.5 GiB and its model; under {_gib(LITTLE_MEMORY)} run few at a time"
        return Finding("memory", "warn", what, remedy)
    return Finding("memory", "ok", what)


def cores(usable: int, total: int) -> Finding:
    if usable < total:
        return Finding("cores", "ok", f"{usable} of {total} are this process's")
    return Finding("cores", "ok", str(total))


def shared_memory(free: int | None) -> Finding:
    """Ray keeps its object store there, and on the disk where that is too small. `free` None: there is none."""
    name = str(SHM)
    if free is None:
        return Finding(name, "ok", "none here: Ray keeps objects in its temporary folder")
    if free < LITTLE_SHM:
        remedy = "slow, not wrong; in a container, start it with a larger --shm-size"
        return Finding(name, "warn", f"{free / 2**20:.0f} MiB free", remedy)
    return Finding(name, "ok", f"{_gib(free)} free")


def open_files(limits: tuple[int, int]) -> Finding:
    """`limits`: soft and hard; a negative one is none."""
    soft, hard = limits
    if 0 <= hard < OPEN_FILES:
        remedy = f"large clusters run out: have the hard limit raised to {OPEN_FILES} or more (limits.conf)"
        return Finding("open files", "warn", f"at most {hard}", remedy)
    return Finding("open files", "ok", f"{soft} (Ray may raise it to {'any number' if hard < 0 else hard})")


def disk(name: str, room: Room, *, needed: bool) -> Finding:
    """A folder that is written to; `needed` by a plain run."""
    bad: State = "fail" if needed else "warn"
    if not room.writable:
        return Finding(
            name, bad, f"{room.path} cannot be written to", "choose another folder, or have it opened to you"
        )
    if room.free is None:
        return Finding(name, "warn", f"{room.path}: free space unknown")
    what = f"{_gib(room.free)} free on {room.path}"
    if room.free < NO_DISK:
        return Finding(name, bad, what, "free some space: results and checkpoints would not fit")
    if room.free < LITTLE_DISK:
        return Finding(name, "warn", what, "checkpoints of large models take gigabytes: free some space")
    return Finding(name, "ok", what)


def extension_builds(room: Room) -> Finding:
    """Where torch keeps what it compiles; a network filesystem makes every rank wait for every other's lock."""
    name = "TORCH_EXTENSIONS_DIR"
    if room.filesystem in NETWORK:
        what = f"{room.path} is on {room.filesystem}"
        return Finding(name, "warn", what, f"set {name} to a folder on this node's own disk")
    return disk(name, room, needed=False)


def build_locks(locks: Sequence[Lock], now: float) -> Finding:
    """torch waits for such a lock for ever; a build that was killed leaves one behind."""
    name = "extension builds"
    stale = [lock for lock in locks if now - lock.modified > STALE_S]
    if stale:
        ages = ", ".join(f"{lock.path} ({(now - lock.modified) / 60:.0f} minutes old)" for lock in stale)
        remedy = "if no build runs, remove it: whatever needs this extension waits for it for ever"
        return Finding(name, "warn", f"a lock was left behind: {ages}", remedy)
    return Finding(name, "ok", f"{len(locks)} running" if locks else "no lock left behind")


def compiler(found: str | None, ninja: str | None) -> Finding:
    """torch.compile on the CPU and DeepSpeed's NVMe offload compile C++; nothing else here does."""
    missing = [name for name, place in (("C++ compiler", found), ("ninja", ninja)) if place is None]
    if missing:
        remedy = "only compile: true on CPUs and offload: nvme need them: install g++ and ninja"
        return Finding("C++ compiler", "warn", f"no {' and no '.join(missing)}", remedy)
    return Finding("C++ compiler", "ok", f"{found}, {ninja}")


def libaio(found: str | None) -> Finding:
    if found is None:
        return Finding(
            "libaio", "warn", "not found", "only offload: nvme needs it: install libaio-dev (or libaio-devel)"
        )
    return Finding("libaio", "ok", found)


def ray_auth(environ: Mapping[str, str], token: Path | None) -> Finding:
    """With a token file and no mode, `ray start --head` asks for the token and `ray start --address` does not send it."""
    mode = environ.get("RAY_AUTH_MODE")
    if mode is not None:
        return Finding("Ray auth", "ok", f"RAY_AUTH_MODE={mode}")
    if token is None:
        return Finding("Ray auth", "ok", "no stray token; clusters that w2s starts have tokens of their own")
    remedy = f"set RAY_AUTH_MODE (token or disabled) alike on every node, or remove {token}"
    return Finding("Ray auth", "warn", f"{token} exists and RAY_AUTH_MODE is not set: nodes may not join", remedy)


def _gib(count: float) -> str:
    return f"{count / GIB:,.1f} GiB"
