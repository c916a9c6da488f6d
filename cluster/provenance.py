"""What a result was made with: versions, code state, hardware. Facts for receipts; environment variables never enter."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

DISTRIBUTIONS = ("torch", "ray", "deepspeed", "transformers", "datasets", "safetensors", "tensorboard", "numpy")
GIT_TIMEOUT_S = 5.0


def versions(distribution: str | None = None) -> dict[str, str]:
    """Installed versions by distribution name, "python" included; what is not installed is left out. Imports none of them.

    `distribution` is one more to look up, e.g. the project's own.
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
    """
    folder = Path(path)
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
    try:
        facts["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        pass
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        count = torch.cuda.device_count()
        # a device's name costs a CUDA context (hundreds of MiB), so only a process that has one asks
        named = torch.cuda.is_initialized()
        facts["gpus"] = [torch.cuda.get_device_name(index) if named else "unnamed" for index in range(count)]
    return facts


def process_start_time(pid: int) -> float | None:
    """When a process of this machine began, in seconds; None if there is none, or if it has ended and awaits its parent.

    Counted since boot on Linux and since the epoch elsewhere: only good for comparing with itself. With the pid it names
    a process for good, since pids are used again.
    """
    if sys.platform == "linux":
        return _linux_start_time(pid)
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def boot_id() -> str:
    """Names this boot of this machine and, on Linux, the namespace our pids are counted in; "" where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # containers of one host share the boot id, and may share the host name, but not the process table
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
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
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
