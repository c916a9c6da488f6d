"""Facts about this machine for `doctor`: what is installed, what there is, how much room. Looks only; starts at most nvidia-smi.

A fact that cannot be had is None. Versions come from package metadata, so that nothing heavy is imported for them.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

NVIDIA_SMI_S = 20.0
CGROUPS = (  # limit and use, in version 2 and 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


@dataclass(frozen=True)
class Gpus:
    """What torch sees. `build` is its CUDA version ("" for a CPU build), `chosen` is CUDA_VISIBLE_DEVICES.

    `nccl` is the version of its NCCL; "" where there are no GPUs, or it has none.
    """

    names: tuple[str, ...]
    build: str
    chosen: str | None = None
    nccl: str = ""


@dataclass(frozen=True)
class Memory:
    """Bytes: free for us, ours at most, and the machine's."""

    available: int
    total: int
    machine: int


@dataclass(frozen=True)
class Room:
    """A folder (or where it would be made): free bytes there, whether we may write, and the filesystem's type."""

    path: Path
    free: int | None
    writable: bool
    filesystem: str = ""


@dataclass(frozen=True)
class Lock:
    """A lock file, and when it was made, in seconds since the epoch."""

    path: Path
    modified: float


def installed(name: str) -> str | None:
    """The version of a distribution; it is not imported."""
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return None


def pinned_versions(file: Path) -> dict[str, str]:
    """Versions by distribution from a constraints file; {} where there is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("#")[0].partition("==") for line in lines)
    return {name.strip().lower(): pinned.strip() for name, _, pinned in pairs if pinned.strip()}


def missing_of_extra(distribution: str, extra: str) -> list[str]:
    """What a distribution's extra names and is not installed; [] for a distribution that is not there either."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires(distribution) or ()]
    except PackageNotFoundError:
        return []
    named = [one for one in wanted if one.marker and one.marker.evaluate({"extra": extra})]
    only = [one for one in named if one.marker and not one.marker.evaluate({"extra": ""})]
    return sorted({one.name for one in only if installed(one.name) is None})


def torch_gpus() -> Gpus | None:
    """Loads torch: seconds. None where it cannot be loaded."""
    try:
        import torch
    except (ImportError, OSError):  # OSError: one of its libraries is missing
        return None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = tuple(torch.cuda.get_device_name(index) for index in range(count))
    has_nccl = bool(names) and torch.distributed.is_available() and torch.distributed.is_nccl_available()
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if has_nccl else ""  # type: ignore[no-untyped-call]
    return Gpus(names, torch.version.cuda or "", os.environ.get("CUDA_VISIBLE_DEVICES"), nccl)


def nvidia_smi(path: str) -> list[str] | None:
    """The GPUs the driver lists; None where there is no nvidia-smi on `path`, or it does not answer."""
    found = program("nvidia-smi", path)
    if found is None:
        return None
    try:
        done = subprocess.run([found, "-L"], capture_output=True, text=True, timeout=NVIDIA_SMI_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line for line in done.stdout.splitlines() if line.startswith("GPU ")] if done.returncode == 0 else None


def memory() -> Memory:
    """Of this machine, or of the container we are in where that may use less."""
    import psutil

    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    for limit_file, use_file in CGROUPS:
        limit = _number(limit_file)
        if limit is not None and limit < total:
            total = limit
            available = min(available, max(0, limit - (_number(use_file) or 0)))
    return Memory(available, total, machine.total)


def cores() -> tuple[int, int]:
    """(usable by this process, of the machine)."""
    total = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return (len(affinity(0)) if affinity is not None else total), total


def open_files() -> tuple[int, int]:
    """Soft and hard limit of open files; negative: none."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def room(folder: Path) -> Room:
    """Of a folder, or of the nearest one above it that exists."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free: int | None = shutil.disk_usage(place).free
    except OSError:
        free = None
    return Room(folder, free, place.is_dir() and os.access(place, os.W_OK | os.X_OK), filesystem(place))


def filesystem(place: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The type of the filesystem a path is on: that of the longest mount point above it; "" where it is not told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = place.resolve()
    fits = [
        fields for fields in map(str.split, lines) if len(fields) > 2 and real.is_relative_to(_unescaped(fields[1]))
    ]
    return max(fits, key=lambda fields: len(fields[1]))[2] if fits else ""


def extensions_folder(environ: Mapping[str, str]) -> Path:
    """Where torch builds its extensions."""
    chosen = environ.get("TORCH_EXTENSIONS_DIR")
    if chosen:
        return Path(chosen)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch_extensions"


def locks(extensions: Path) -> list[Lock]:
    """Every lock of a build, running or left behind: EXTENSION/lock, one level deeper in torch's own default folder."""
    found = []
    for file in sorted([*extensions.glob("*/lock"), *extensions.glob("*/*/lock")]):
        try:
            found.append(Lock(file, file.stat().st_mtime))
        except OSError:  # just finished
            continue
    return found


def compiler(environ: Mapping[str, str]) -> str | None:
    """The C++ compiler torch would call: $CXX, else c++ or g++."""
    path = environ.get("PATH", "")
    chosen = environ.get("CXX")
    names = [chosen] if chosen else ["c++", "g++"]
    return next((found for found in (program(name, path) for name in names) if found is not None), None)


def program(name: str, path: str) -> str | None:
    """Where a program lies on `path`."""
    return shutil.which(name, path=path)


def taken(ports: Iterable[int]) -> list[int]:
    """Those of the TCP ports that some process of this machine has already."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what was left a moment ago is free
            try:
                probe.bind(("", port))
            except OSError:
                found.append(port)
    return found


def importable(module: str) -> bool:
    """Whether a module is there to be imported; it is not."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def libaio() -> str | None:
    """The library, and its header, which DeepSpeed compiles against."""
    found = ctypes.util.find_library("aio")
    header = any((Path(folder) / "libaio.h").is_file() for folder in ("/usr/include", "/usr/local/include"))
    return found if header else None


def auth_token(home: Path) -> Path | None:
    """The token file that Ray finds by itself."""
    token = home / ".ray" / "auth_token"
    return token if token.is_file() else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return None


def _unescaped(mount: str) -> str:
    return mount.replace("\\040", " ")
