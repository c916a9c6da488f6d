"""How commands speak: JSON on stdout for scripts, rich tables for people."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

PIPE_WIDTH = 160


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def console(*, err: bool = False) -> Console:
    """A console on stdout (or stderr); plain where it is not a terminal."""
    found = Console(stderr=err, highlight=False, soft_wrap=True)
    # a pipe or a log has no width of its own: names should not be folded at 80 columns there
    return found if found.is_terminal else Console(stderr=err, highlight=False, soft_wrap=True, width=PIPE_WIDTH)


def count(number: float) -> str:
    """A count for people: `22.7 M`, `1.5 B`, `640`."""
    for size, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e4, " k")):
        if number >= size:
            return f"{number / (1e3 if unit == ' k' else size):.1f}{unit}"
    return f"{number:.0f}"
