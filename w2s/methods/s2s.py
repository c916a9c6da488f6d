"""Strong to strong: the student's own labels teach a fresh copy of it, again and again (EleutherAI/w2s, `s2s_iters`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Outcome, Stage
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["s2s"] = "s2s"
    iterations: int = Field(2, ge=0, le=100, description="fresh students after the first; 0 is naive finetuning")
    loss: AnyLoss = Field(Xent(), description="what every student minimises")


def plan(world: World, config: Config) -> Outcome:
    """The first student learns weak labels, each later one those of the student before; the last is the transfer."""
    verdict = supervision(world, config)
    student = world.train(world.strong, "strong", labels=verdict, loss=config.loss)
    extras: dict[str, Stage] = {}
    for iteration in range(config.iterations):
        labels = world.predict(student, "strong")
        extras[f"iteration {iteration}"] = world.grade(labels)
        student = world.train(world.strong, "strong", labels=labels, loss=config.loss)
    return world.outcome(verdict, student, extras)
