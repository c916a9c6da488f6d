"""The floor alone: weak supervisors and their grade, no student and no ceiling; over many seeds, a floor to hold others against.

The outcome has one side, so a report shows that number and a dash for all others.
"""

from __future__ import annotations

from typing import Literal

from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["floor"] = "floor"


def plan(world: World, config: Config) -> Outcome:
    """Nothing strong is trained."""
    return Outcome(floor=world.grade(supervision(world, config)))
