"""What a simulation of the CNN bench leaves: the weak model's scores, and measures of the strong one by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

FILE = "curve.json"

Record: TypeAlias = "dict[str, float | None]"
"""Measures at one step, by name."""


@dataclass(frozen=True)
class Curve:
    """The weak model's scores, and what was measured of the strong one, step by step."""

    weak: Record
    records: list[Record]
