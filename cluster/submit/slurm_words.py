"""How Slurm writes things, read into plain values: node lists, durations, times, exit codes, states. Pure."""

from __future__ import annotations

import re

from cluster.submit.live import State

UNSET = ("", "N/A", "None", "(null)", "NONE", "Unknown", "INVALID", "NOT_SET", "UNLIMITED", "None assigned")
GROUP = re.compile(r"\[([^\]]*)\]")
ELEMENTS = re.compile(r"\d+(-\d+)?(:\d+)?")
DURATION = re.compile(r"(?:(\d+)-)?(\d+(?::\d+){0,2})(?:\.\d+)?")
MOST = 1_000_000  # of nodes in one list: a damaged range must not fill the memory

STATES: dict[str, State] = {
    "PENDING": "pending", "REQUEUED": "pending", "REQUEUE_FED": "pending", "REQUEUE_HOLD": "pending",
    "SPECIAL_EXIT": "pending", "RESV_DEL_HOLD": "pending",
    "RUNNING": "running", "CONFIGURING": "running", "COMPLETING": "running", "SUSPENDED": "running", "STOPPED": "running",
    "SIGNALING": "running", "STAGE_OUT": "running", "RESIZING": "running", "POWER_UP_NODE": "running",
    "COMPLETED": "done", "CANCELLED": "cancelled",
    "FAILED": "failed", "TIMEOUT": "failed", "NODE_FAIL": "failed", "OUT_OF_MEMORY": "failed", "BOOT_FAIL": "failed",
    "DEADLINE": "failed", "PREEMPTED": "failed", "REVOKED": "failed", "LAUNCH_FAILED": "failed", "RECONFIG_FAIL": "failed",
}  # fmt: skip


def state(told: str) -> State:
    """What a job's state means for us: `CANCELLED by 1000` is "cancelled"; a word we do not know is "unknown"."""
    return STATES.get(told.split(" ", 1)[0].rstrip("+"), "unknown")


def node_names(text: str) -> tuple[str, ...]:
    """The nodes of a list in order: `w[1-3,07],gpu-a` is w1, w2, w3, w07, gpu-a. Unreadable parts are left as they are."""
    if text in UNSET:
        return ()
    return tuple(name for part in _split(text) for name in _expanded(part))


def elements(text: str) -> tuple[int, ...]:
    """The elements of an array in a job's number or in a range: `0-2,5%2` is 0, 1, 2, 5. () where there are none."""
    found: list[int] = []
    for part in text.strip("[]").partition("%")[0].split(","):
        if not ELEMENTS.fullmatch(part):
            return ()
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        if int(last or first) - int(first) > MOST:
            return ()
        found += range(int(first), int(last or first) + 1, max(1, int(step or 1)))
    return tuple(found)


def seconds(text: str) -> float | None:
    """A duration: `59`, `2:05`, `1:02:03`, `1-02`, `1-02:03`, `1-02:03:04`. None for what is none (N/A, UNLIMITED).

    With days the first number is hours; without, the last one is seconds: so `squeue` and `sacct` print what is left or gone.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None:
        return None
    days, fields = int(match[1] or 0), [int(field) for field in match[2].split(":")]
    padded = [*fields, 0, 0][:3] if match[1] else [0, 0, *fields][-3:]
    return float(((days * 24 + padded[0]) * 60 + padded[1]) * 60 + padded[2])


def moment(text: str) -> float | None:
    """A time as Slurm prints it under SLURM_TIME_FORMAT=%s: seconds since the epoch. None where there is none."""
    return float(text) if text.isdigit() and int(text) > 0 else None


def exit_code(text: str) -> int | None:
    """A shell's exit code from `code:signal` (sacct) or a wait status (squeue). None for what is neither."""
    if text.isdigit():
        status = int(text)
        return 128 + (status & 0x7F) if status & 0x7F else status >> 8
    code, sign, signal = text.partition(":")
    if not (sign and code.isdigit() and signal.isdigit()):
        return None
    return 128 + int(signal) if int(signal) else int(code)


def _split(text: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part for part in (*parts, text[start:]) if part]


def _expanded(name: str) -> list[str]:
    match = GROUP.search(name)
    if match is None:
        return [name]
    numbers = _numbers(match[1])
    if numbers is None:
        return [name]
    tails = _expanded(name[match.end() :])
    return [f"{name[: match.start()]}{number}{tail}" for number in numbers for tail in tails]


def _numbers(text: str) -> list[str] | None:
    """`1-3,07` as ["1", "2", "3", "07"]: as wide as the first of a range is written. None when it is no such list."""
    found: list[str] = []
    for part in text.split(","):
        first, sign, last = part.partition("-")
        if not first.isdecimal() or (sign and not last.isdecimal()):
            return None
        if not 0 <= int(last or first) - int(first) <= MOST - len(found):
            return None
        found += [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
    return found
