"""Filtering: the student learns only from the weak labels that are trusted most (Burns et al. 2023, appendix B; EleutherAI/w2s).

Nobody is asked what is true. A label is trusted for

    confidence    its probability: of each class the share `keep` of the surest
    threshold     its probability: above `threshold`
    knn           being near to the mean label of the row's neighbours in the strong model's hidden states
    logistic      being near to what a linear probe on those states predicts that has not seen the row
    topological   lying in its class's largest component of the neighbours' graph, near to its neighbours' labels

the last three down to the share `keep`. A row is never its own neighbour. Held-out and test rows are all kept.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from w2s.learner import Layer
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.stages import Labels, Outcome
from w2s.world import World

CHOICES = {
    "confidence": {"keep"},
    "threshold": {"threshold"},
    "knn": {"keep", "neighbours", "layer"},
    "logistic": {"keep", "l2", "layer"},
    "topological": {"keep", "neighbours", "layer"},
}


class Config(MethodConfig):
    kind: Literal["filter"] = "filter"
    by: Literal["confidence", "threshold", "knn", "logistic", "topological"] = Field(
        "confidence", description="why a label is trusted"
    )
    keep: float = Field(0.9, gt=0, le=1, description="share of the labels that is kept (of each class, by confidence)")
    threshold: float = Field(0.75, gt=0, lt=1, description="by threshold: labels of a higher probability are kept")
    neighbours: int = Field(50, ge=1, description="by knn, topological: how many")
    l2: float = Field(1e-2, ge=0, description="by logistic: of the probe's squared weights")
    layer: Layer = Field("middle", description="of the strong model: where neighbours are sought and probes look")
    loss: AnyLoss = Field(Xent(), description="what the student minimises")

    @model_validator(mode="after")
    def _all_act(self) -> Config:
        others = set().union(*CHOICES.values()) - CHOICES[self.by]
        odd = [name for name in sorted(others) if getattr(self, name) != type(self).model_fields[name].get_default()]
        if odd:
            raise ValueError(
                f"by: {self.by} has no use for {', '.join(odd)}; it knows {', '.join(sorted(CHOICES[self.by]))}"
            )
        return self


def trusted(world: World, verdict: Labels, config: Config) -> Labels:
    """The weak labels of the strong half, less those trusted least."""
    if config.by == "confidence":
        return world.filter(verdict, "confidence", config.keep)
    if config.by == "threshold":
        return world.filter(verdict, "threshold", config.threshold)
    if config.by == "topological":
        return world.topofilter(verdict, config.keep, layer=config.layer, neighbours=config.neighbours)
    if config.by == "knn":
        opinion = world.relabel(verdict, "knn", layer=config.layer, neighbours=config.neighbours)
    else:
        opinion = world.relabel(verdict, "logistic", layer=config.layer, l2=config.l2)
    return world.filter(verdict, "disagreement", config.keep, opinion)


def plan(world: World, config: Config) -> Outcome:
    """As naive, on the labels that are left."""
    verdict = supervision(world, config)
    student = world.train(world.strong, "strong", labels=trusted(world, verdict, config), loss=config.loss)
    return world.outcome(verdict, student)
