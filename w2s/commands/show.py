"""How commands speak: JSON on stdout for scripts, rich tables for people."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def console(*, err: bool = False) -> Console:
    """A console on stdout (or stderr); plain where it is not a terminal."""
    return Console(stderr=err, highlight=False, soft_wrap=True)
