"""What a result was made with: versions, code state, hardware. Environment variables never enter."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

DISTRIBUTIONS = ("torch", "ray", "deepspeed", "transformers", "peft", "datasets", "safetensors", "tensorboard", "numpy")
GIT_TIMEOUT_S = 5.0
PACKED = "w2s-code.json"
DEPTH = 2  # of a module below the root of a package's folder


def versions(distribution: str | None = None) -> dict[str, str]:
    """Installed versions by distribution name, and of "python"; what is not installed is left out.

    Imports none of them. `distribution` is one more to look up, e.g. the project's own.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in (*DISTRIBUTIONS, *([distribution] if distribution else [])):
        try:
            found[name] = version(name)
        except (PackageNotFoundError, ValueError):
            continue
    return found


def git_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The commit a folder is at: {"commit", "dirty", "diff_sha256"}, the digest over the changes to tracked files.

    {} where there is no git, no repository, no commit yet, or where the repository ignores the folder (a virtual
    environment inside somebody's checkout says nothing about the code in it). A slow `git` leaves the later fields out.
    Code that was packed and sent elsewhere brings its state along, in `PACKED`.
    """
    folder = Path(path)
    for place in (folder, *folder.absolute().parents[:DEPTH]):
        with contextlib.suppress(OSError, ValueError):
            packed: dict[str, Any] = json.loads((place / PACKED).read_text(encoding="utf-8"))
            return packed
    if not folder.is_dir() or _git(folder, "check-ignore", "-q", ".") is not None:
        return {}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    state: dict[str, Any] = {"commit": commit.decode().strip()}
    status = _git(folder, "status", "--porcelain")
    if status is not None:
        state["dirty"] = bool(status.strip())
        # no external diff or text converter: a repository's settings must not run programs of its choice here
        diff = _git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv")
        if diff is not None:
            state["diff_sha256"] = hashlib.sha256(diff).hexdigest()
    return state


def hardware() -> dict[str, Any]:
    """{"hostname", "cpu", "cpus" (usable by this process), "memory_gib"}, and "gpus" if torch is loaded already."""
    facts: dict[str, Any] = {"hostname": platform.node(), "cpu": _cpu_model(), "cpus": _usable_cpus()}
    with contextlib.suppress(ValueError, OSError):
        facts["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        count = torch.cuda.device_count()
        # a device's name costs a CUDA context (hundreds of MiB), so only a process that has one asks
        named = torch.cuda.is_initialized()
        facts["gpus"] = [torch.cuda.get_device_name(index) if named else "unnamed" for index in range(count)]
    return facts


def process_start_time(pid: int) -> float | None:
    """When a process of this machine began, in seconds; None if there is none, or only its exit status is left.

    Counted since boot on Linux and since the epoch elsewhere: only good for comparing with itself. Pids are used again;
    a pid and its start time name one process for good.
    """
    if platform.system() == "Linux":
        return _linux_start_time(pid)
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def boot_id() -> str:
    """Names this boot of this machine and the namespace our pids are counted in; "" where Linux does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # containers of one host share the boot id, and may share the host name, but not the process table
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _linux_start_time(pid: int) -> float | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command's name may itself hold spaces and brackets
    state, ticks = fields[0], int(fields[19])
    return None if state in "ZX" else ticks / os.sysconf("SC_CLK_TCK")


def _git(folder: Path, *arguments: str) -> bytes | None:
    """The output of a git command, or None if it failed, took too long, or there is no git."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # an argv list, no shell
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=GIT_TIMEOUT_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _usable_cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
