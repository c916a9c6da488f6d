"""The floor alone: weak supervisors and their grade, no student and no ceiling; over many seeds, a floor to hold others against.

All three grades of the outcome are the supervisor's own, so a report shows one number three times, and no gap to recover.
"""

from __future__ import annotations

from typing import Literal

from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["floor"] = "floor"


def plan(world: World, config: Config) -> Outcome:
    """The supervisor in the student's place: nothing strong is trained."""
    own = world.grade(supervision(world, config))
    return Outcome(floor=own, transfer=own, ceiling=own)
