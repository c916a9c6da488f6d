"""RAVEN: several supervisors, and weights over them that the student learns (Jeon et al. 2025, arXiv 2510.21332).

The student hears each supervisor by itself and learns whom to believe, as its own predictions take shape: see loss `raven`.
Supervisors are calibrated first, each on held-out rows of its own kind: cross-entropy against sure labels is lower, so that a
supervisor that is sure and wrong would win over a better one that is modest. `calibrate: false` is what was released.

The floor is the mean of what the student hears (calibrated, where it is), with no weights: what these supervisors say together
when nobody learns whom to believe. A gain over it is the student's and the weights' together; beside `ensemble`, whose student
learns from that very mean (`combine: calibrated`), it is the weights' alone. Every supervisor's own grade is kept.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.crowd import CrowdConfig, crowd
from w2s.losses.raven import Config as Raven
from w2s.stages import Crowd, HowCombined, Outcome
from w2s.world import World


class Config(CrowdConfig):
    kind: Literal["raven"] = "raven"
    members: int = Field(3, ge=1, le=256, description="weak supervisors (by layer and model: one for each named)")
    combine: HowCombined = Field("mean_prob", description="how the floor is made of what the student hears")
    calibrate: bool = Field(True, description="make each supervisor as sure as it is right; false: as released")
    loss: Raven = Field(Raven(), description="how the weights begin, how long they wait, and how fast they move")


def plan(world: World, config: Config) -> Outcome:
    """The crowd side by side, each calibrated; a student that learns whom to believe; the mean of what it hears as floor."""
    members = crowd(world, config)
    said = [world.predict(member, "strong") for member in members]
    heard = [world.calibrate(one) for one in said] if config.calibrate else said
    student = world.train(world.strong, "strong", labels=Crowd(tuple(heard)), loss=config.loss)
    grades = {f"member {i}": world.grade(world.predict(member, "test")) for i, member in enumerate(members)}
    return world.outcome(world.combine(heard, config.combine), student, extras=dict(grades))
