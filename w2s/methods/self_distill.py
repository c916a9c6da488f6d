"""Self-distillation: the supervisor is as large as the student, which shows what is not due to a gap (Burns et al. 2023)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["self_distill"] = "self_distill"
    loss: AnyLoss = Field(Xent(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """As naive, in a world whose weak model is the strong one: it learns the weak half's truth, and its twin its labels."""
    twins = replace(world, weak=world.strong)
    verdict = supervision(twins, config)
    student = twins.train(twins.strong, "strong", labels=verdict, loss=config.loss)
    return twins.outcome(verdict, student)
