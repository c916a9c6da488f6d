"""Weak ensemble: several weak teachers vote, one strong student listens (bagging; Sang et al. 2024, 2402.00667).

Members differ by seed, by the order of their rows, by bootstrap sample or subset of the weak half, by a random share of the
features, by the layer their head reads, or by model. Their labels become one by mean probability, mean logit, majority, a mean
weighted by inverse entropy row by row, or a mean after each was calibrated on held-out rows. All are trained side by side.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.crowd import CrowdConfig, crowd
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, agreed
from w2s.stages import Outcome
from w2s.world import World


class Config(CrowdConfig):
    kind: Literal["ensemble"] = "ensemble"
    loss: AnyLoss = Field(Xent(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """The crowd's verdict supervises; each member's own grade is kept beside it."""
    members = crowd(world, config)
    verdict = agreed(world, [world.predict(member, "strong") for member in members], config.combine)
    student = world.train(world.strong, "strong", labels=verdict, loss=config.loss)
    grades = {f"member {i}": world.grade(world.predict(member, "test")) for i, member in enumerate(members)}
    return world.outcome(verdict, student, extras=dict(grades))
