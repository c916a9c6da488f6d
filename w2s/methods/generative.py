"""Generative finetuning first: student and ceiling read the task's texts before they learn labels (Burns et al. 2023, 5.2.2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["generative"] = "generative"
    epochs: float = Field(1, gt=0, le=100, description="passes over the strong half's texts, whatever their labels")
    lr: float | None = Field(None, gt=0, description="of that reading; null: the strong learner's")
    loss: AnyLoss = Field(Xent(), description="what the student minimises")


def plan(world: World, config: Config) -> Outcome:
    """The ceiling reads as the student does, so that PGR compares like with like; the ceiling that did not is kept beside it."""
    verdict = supervision(world, config)
    adapted = world.adapt(world.strong, "strong", epochs=config.epochs, lr=config.lr)
    student = world.train(world.strong, "strong", labels=verdict, loss=config.loss, start=adapted)
    ceiling = world.train(world.strong, "strong", start=adapted)
    plain = world.grade(world.predict(world.train(world.strong, "strong"), "test"), supervisor=verdict)
    return world.outcome(verdict, student, extras={"plain ceiling": plain}, ceiling=ceiling)
