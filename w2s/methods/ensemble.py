"""Weak ensemble: several weak teachers vote, one strong student listens (bagging over seeds, Sang et al. 2024)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["ensemble"] = "ensemble"
    members: int = Field(4, ge=1, le=256, description="weak supervisors, differing by seed")
    loss: AnyLoss = Field(Xent(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """The crowd's verdict supervises; each member's own grade is kept beside it."""
    crowd = world.supervisors(config.members)
    verdict = world.combine([world.predict(teacher, "strong") for teacher in crowd], config.combine)
    student = world.train(world.strong, "strong", labels=verdict, loss=config.loss)
    members = {f"member {i}": world.grade(world.predict(teacher, "test")) for i, teacher in enumerate(crowd)}
    return world.outcome(verdict, student, extras=dict(members))
