"""Short words for what is going on: spans of time, rates, how far a running stage is. Displays and log lines share them."""

from __future__ import annotations

import re

from cluster.tally import Running

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")
SCORES = ("agreement", "accuracy")  # with the labels learned from, first: in this field nobody has the truth


def clock(seconds: float) -> str:
    """`7 s`, `3:20`, `2:05:00`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def rate(number: float) -> str:
    """`640`, `3.2k`, `1.4M`."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def one_line(text: str) -> str:
    """Text that a terminal shows as it is: no escape sequences, and of a line that was overwritten its last state."""
    last = ESCAPES.sub("", text).rstrip("\r\n").rpartition("\r")[2]
    return "".join(char if char.isprintable() else " " for char in last)


def facts(stage: Running, now: float) -> dict[str, str]:
    """What is known of a running stage, by column: step, loss, score, speed, time, device. `now` is the monotonic clock."""
    found: dict[str, str] = {}
    scalars, left_s = stage.scalars, stage.left_s(now)
    if stage.total:
        found["step"] = f"{stage.done:g}/{stage.total:g} {stage.unit}".rstrip()
    if "train/loss" in scalars:
        found["loss"] = f"loss {scalars['train/loss']:.3f}"
    for name in SCORES:
        if f"eval/{name}" in scalars and "score" not in found:
            found["score"] = f"{name} {scalars[f'eval/{name}']:.3f}"
    if "train/tokens_per_s" in scalars:
        found["speed"] = f"{rate(scalars['train/tokens_per_s'])} tokens/s"
    found["time"] = f"for {clock(max(0.0, now - stage.since))}" if left_s is None else f"{clock(left_s)} left"
    if stage.device:
        found["device"] = f"{stage.device} on {stage.host}" if stage.host else stage.device
    return {column: one_line(text) for column, text in found.items()}
