"""Choosing the weak model: a student for each candidate, kept the one that should be best (Charikar et al. 2024, section 5).

A student gains over its supervisor about as much as it is apart from it, so the candidate with the least (held-out loss - slope *
misfit of its student) is chosen: on held-out rows whose truth the weak models' teacher knew, and no truth of any row that a
student learns from. Misfit alone chooses nothing: a hopeless supervisor has much of it. Candidates differ as members of an
ensemble do. The best in hindsight is an oracle and no method; every candidate's and student's grade is told beside the chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from cluster.errors import BadInput
from w2s.crowd import CrowdConfig, crowd
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss
from w2s.stages import Labels, Outcome, Selected, Stage
from w2s.world import World


class Config(CrowdConfig):
    kind: Literal["choose_weak"] = "choose_weak"
    slope: float = Field(
        1.0,
        ge=0,
        description="what a student gains per misfit: 1 in theory, .25 to .75 where it was measured; 0: weak loss alone",
    )
    calibrate: bool = Field(
        True, description="for the choice, make each candidate as sure as it is right (temperature, cross-fitted)"
    )
    targets: Literal["weak", "calibrated"] = Field(
        "weak", description="what students learn: labels as they are, or as sure as they are right on held-out rows"
    )
    loss: AnyLoss = Field(Xent(), description="what each student minimises")

    @model_validator(mode="after")
    def _chooses(self) -> Config:
        if self.combine != type(self).model_fields["combine"].get_default():
            raise ValueError("combine: one candidate is chosen, nothing is combined; leave it out")
        return self


def plan(world: World, config: Config) -> Outcome:
    """A student for each candidate; the supervisor is the chosen candidate, the student its student."""
    if world.split.val == 0:
        raise BadInput("split.val", "is 0, and the choice is made on held-out rows", "set val: 0.1")
    weak = [world.predict(member, "strong") for member in crowd(world, config)]
    taught = weak if config.targets == "weak" else [world.calibrate(labels) for labels in weak]
    students = [world.train(world.strong, "strong", labels=labels, loss=config.loss) for labels in taught]
    said = [world.predict(student, "test") for student in students]
    if len(weak) == 1:
        return world.outcome(taught[0], students[0])
    val = world.part("val", side="source")  # where their teacher knew the truth, should the task shift

    def selected(options: Sequence[Labels]) -> Selected:
        weak_val, own_val = (tuple(labels.on(val) for labels in side) for side in (taught, said))
        return Selected(tuple(options), weak_val, own_val, val, config.slope, config.calibrate)

    extras: dict[str, Stage] = {}
    for place, (labels, own) in enumerate(zip(taught, said, strict=True)):
        extras[f"candidate {place}"] = world.grade(labels)
        extras[f"student {place}"] = world.grade(own, supervisor=labels)
    return world.outcome(selected(taught), selected(said), extras)
