"""Naive finetuning: the student learns the weak labels as they are (Burns et al. 2023, section 4.2)."""

from __future__ import annotations

from typing import Literal

from w2s.losses.xent import Config as Xent
from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["naive"] = "naive"
    labels: Literal["soft", "hard"] = "soft"


def plan(world: World, config: Config) -> Outcome:
    """Weak labels on the strong half, cross-entropy on them."""
    verdict = supervision(world, config)
    student = world.train(world.strong, "strong", labels=verdict, loss=Xent(labels=config.labels))
    return world.outcome(verdict, student)
