"""Bayesian WeakS-to-Strong: evidence from every supervisor, and from the student itself (Cui et al. 2024, 2406.03199).

The student hears each supervisor by itself, every one with its own weight (loss `bayesian`). The floor is the crowd's own
verdict, made as `combine` says; every supervisor's own grade is kept.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.crowd import CrowdConfig, crowd
from w2s.losses.bayesian import Config as Bayesian
from w2s.method import agreed
from w2s.stages import Crowd, Outcome
from w2s.world import World


class Config(CrowdConfig):
    kind: Literal["bayesian"] = "bayesian"
    members: int = Field(3, ge=1, le=256, description="weak supervisors (by layer and model: one for each named)")
    loss: Bayesian = Field(Bayesian(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """The crowd side by side; a student that weighs its evidence; the crowd's verdict as floor."""
    members = crowd(world, config)
    said = [world.predict(member, "strong") for member in members]
    student = world.train(world.strong, "strong", labels=Crowd(tuple(said)), loss=config.loss)
    grades = {f"member {i}": world.grade(world.predict(member, "test")) for i, member in enumerate(members)}
    return world.outcome(agreed(world, said, config.combine), student, extras=dict(grades))
