"""Relabelling: weak labels give way to what those of similar rows say, similar to the strong model (EleutherAI/w2s).

knn: the mean label of the nearest rows, never of the row itself. logistic: the prediction of a linear probe that has not seen the
row. Held-out rows get theirs from the strong half's rows. The floor is still the supervisor's own: how good the new labels are is
told beside it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from w2s.learner import Layer
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["relabel"] = "relabel"
    by: Literal["knn", "logistic"] = Field("knn", description="who says what a row's label should be")
    neighbours: int = Field(50, ge=1, description="by knn: how many")
    l2: float = Field(1e-2, ge=0, description="by logistic: of the probe's squared weights")
    layer: Layer = Field("middle", description="of the strong model: where neighbours are sought and probes look")
    loss: AnyLoss = Field(Xent(), description="what the student minimises")

    @model_validator(mode="after")
    def _all_act(self) -> Config:
        idle = "l2" if self.by == "knn" else "neighbours"
        if getattr(self, idle) != type(self).model_fields[idle].get_default():
            raise ValueError(f"by: {self.by} has no use for {idle}")
        return self


def plan(world: World, config: Config) -> Outcome:
    """As naive, on labels that agree with their surroundings."""
    verdict = supervision(world, config)
    if config.by == "knn":
        smoothed = world.relabel(verdict, "knn", layer=config.layer, neighbours=config.neighbours)
    else:
        smoothed = world.relabel(verdict, "logistic", layer=config.layer, l2=config.l2)
    student = world.train(world.strong, "strong", labels=smoothed, loss=config.loss)
    return world.outcome(verdict, student, extras={"new labels": world.grade(smoothed)})
