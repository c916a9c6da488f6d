"""Finetuning with any loss: as naive, but what the student minimises is yours to choose (Burns et al. 2023, section 4.2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["finetune"] = "finetune"
    loss: AnyLoss = Field(Xent(), description="what the student minimises: any of `w2s list losses`")
    labels: Literal["soft", "hard"] = Field(
        "soft", description="hard: the weak label's most likely class counts as certain, whatever the loss"
    )


def plan(world: World, config: Config) -> Outcome:
    """Weak labels on the strong half, the loss on them."""
    verdict = supervision(world, config)
    taught = world.harden(verdict) if config.labels == "hard" else verdict
    student = world.train(world.strong, "strong", labels=taught, loss=config.loss)
    return world.outcome(verdict, student)
