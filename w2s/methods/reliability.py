"""Reliability: a student believes a crowd's labels as far as its members give one answer (Guo & Yang 2024, 2406.19032).

The paper asks one language model five rephrased questions. A classifier is asked in other ways:

over: members    several weak models (`members`, `differ` and the other choices of an ensemble)
over: dropout    one weak model `samples` times, with its own dropout on; each row's draw is its own, whatever stands beside it

how: filter      the half of the rows (`keep`) whose answers have the least entropy; all rows of the last one's entropy too, as
                 in the paper ("at most the median"): few members agree wholly on many rows, and then more than `keep` are left
how: reweight    every row counts for softmax(frequency / temperature) of its answer among the classes

The label itself is the members' verdict, by `combine` (their mean). Held-out and test rows are all kept.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cluster.errors import BadInput
from w2s.crowd import CrowdConfig, crowd
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, agreed
from w2s.stages import HowReliable, Labels, Outcome, Predict, Reliable, Stage, Train
from w2s.world import World

CROWDED = ("members", "differ", "share", "layers", "models")


class Config(CrowdConfig):
    kind: Literal["reliability"] = "reliability"
    over: Literal["members", "dropout"] = Field("members", description="whose answers are compared")
    samples: int = Field(5, ge=2, le=256, description="over dropout: how often the weak model is asked")
    how: HowReliable = Field("filter", description="what is done with rows of many minds")
    keep: float = Field(
        0.5, gt=0, le=1, description="filter: share of the rows that is kept, and more where answers tie"
    )
    temperature: float = Field(0.2, gt=0, description="reweight: the lower, the more agreement counts")
    loss: AnyLoss = Field(Xent(), description="what the student minimises")

    @model_validator(mode="after")
    def _chosen_act(self) -> Config:
        unused = {
            "over: dropout": CROWDED if self.over == "dropout" else (),
            "over: members": ("samples",) if self.over == "members" else (),
            "how: filter": ("temperature",) if self.how == "filter" else (),
            "how: reweight": ("keep",) if self.how == "reweight" else (),
        }
        for choice, names in unused.items():
            odd = [name for name in names if getattr(self, name) != type(self).model_fields[name].get_default()]
            if odd:
                raise ValueError(f"{choice} has no use for {', '.join(odd)}")
        return self


def plan(world: World, config: Config) -> Outcome:
    """As an ensemble, on rows that its members agree about."""
    asked = _samples(world, config) if config.over == "dropout" else _members(world, config)
    if len(asked) < 2:
        raise BadInput("method.members", "one labeller always agrees with itself", "give two or more members")
    verdict = agreed(world, asked, config.combine)
    trusted = Reliable(
        verdict,
        world.part("strong"),
        tuple(asked),
        config.how,
        config.keep if config.how == "filter" else None,
        config.temperature if config.how == "reweight" else None,
    )
    student = world.train(world.strong, "strong", labels=trusted, loss=config.loss)
    extras: dict[str, Stage] = {f"member {i}": world.grade(one) for i, one in enumerate(asked)}
    return world.outcome(verdict, student, extras)


def _members(world: World, config: Config) -> list[Labels]:
    return [world.predict(member, "strong") for member in crowd(world, config)]


def _samples(world: World, config: Config) -> list[Labels]:
    """Raises BadInput for what is known to have no dropout; a model that has none says so when it is asked."""
    if world.weak.probe is not None or world.weak.model.form in ("static", "features", "given"):
        what = f"{world.weak.model.short} has no dropout" + (" under a probe" if world.weak.probe else "")
        raise BadInput("method.over", what, "set over: members, or finetune a transformer")
    model = world.train(world.weak, "weak")
    assert isinstance(model, Train), "neither given nor a probe"
    return [Predict(model, world.part("strong"), draw) for draw in range(config.samples)]
