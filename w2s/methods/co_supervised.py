"""Co-supervised learning: ever more specialised supervisors relabel for one student (Liu & Alahi 2024, 2402.15505).

The first level is one weak model of everything, which teaches a first student. Each level after it has more supervisors, each
trained on its own share of the weak half's truth. Every row of the strong half is labelled by one of them, labels that the current
student finds unlikely are left out, and a fresh student learns the rest.

by: class      a specialist knows a range of classes (at least two; one alone would be the student's own guess given back)
by: cluster    a specialist knows a cluster of k-means on the strong model's hidden states: for tasks of few classes, or domains
assign: own    the specialist of the student's most probable class (by: class), or of the row's own cluster
assign: kl     the one nearest to what the student says: the smallest KL(student || specialist)

A label is likely where it is among the student's `top` classes (of C classes at most C - 1: of two, its own choice). The share of
such rows is how many are kept: those of the smallest cross-entropy. The next student starts anew, a finetuned one from its
pretrained weights with a new head, and takes as many steps on the rows that are left as all of them would have taken. What is
graded is its last step (or what `select` keeps by weak labels), never the best on test rows. Floor: the model of everything.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cluster.errors import BadInput
from w2s.learner import Layer
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, lone
from w2s.stages import Assigned, Clusters, Denoised, Labels, Model, Outcome, Stage, Train, Truth
from w2s.world import World

FEWEST = 2  # classes a specialist tells apart


class Config(MethodConfig):
    kind: Literal["co_supervised"] = "co_supervised"
    levels: tuple[int, ...] = Field(
        (1, 2, 4), max_length=16, description="supervisors of each level, the first being one"
    )
    by: Literal["auto", "class", "cluster"] = Field(
        "auto", description="what specialists know; auto: classes where each has two or more, else clusters"
    )
    assign: Literal["own", "kl"] = Field(
        "own", description="who labels a row; kl: the specialist nearest to the student"
    )
    layer: Layer = Field("middle", description="by cluster: of the strong model, whose states are clustered")
    top: int = Field(3, ge=1, description="classes of the student among which a new label is likely")
    labels: Literal["soft", "hard"] = Field(
        "soft", description="hard: a specialist's most probable class counts as certain"
    )
    loss: AnyLoss = Field(Xent(), description="what the students minimise")

    @field_validator("levels")
    @classmethod
    def _grow(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or value[0] != 1 or any(below >= above for below, above in pairwise(value)):
            raise ValueError("levels begin with one supervisor and grow: [1, 2, 4]")
        return value

    @model_validator(mode="after")
    def _all_act(self) -> Config:
        lone(self, "levels")
        if self.by == "class" and self.layer != type(self).model_fields["layer"].get_default():
            raise ValueError("by: class has no use for layer")
        return self


def plan(world: World, config: Config) -> Outcome:
    """Level by level; the students of all but the last are graded beside it."""
    if world.weak.model.form == "given":
        raise BadInput("weak.model", f"{world.weak.model.source} are labels, which cannot learn", "name a model")
    by = _by(world, config)
    verdict = world.predict(world.train(world.weak, "weak"), "strong")
    student = _student(world, config, verdict)
    extras: dict[str, Stage] = {}
    for level, count in enumerate(config.levels[1:], start=1):
        said = world.predict(student, "strong")
        extras[f"student of level {level}"] = world.grade(said, supervisor=verdict)
        new = _by_class(world, config, said, count) if by == "class" else _by_cluster(world, config, said, count)
        taught = world.harden(new) if config.labels == "hard" else new
        top = min(config.top, world.task.n_classes - 1)
        kept = Denoised(taught, world.part("strong"), said, top)
        student = _student(world, config, kept)
        student = replace(student, stretched=True) if isinstance(student, Train) else student
    return world.outcome(verdict, student, extras)


def _by(world: World, config: Config) -> str:
    """Raises BadInput for too few classes."""
    classes, most = world.task.n_classes, config.levels[-1]
    enough = classes >= FEWEST * most
    if config.by == "class" and not enough:
        what = f"{most} specialists of {FEWEST} or more classes each, and task {world.task.told} has {classes}"
        raise BadInput("method.by", what, "set by: cluster, or fewer levels")
    if config.by == "auto":
        return "class" if enough else "cluster"
    return config.by


def _student(world: World, config: Config, labels: Labels) -> Model:
    taught = world.harden(labels) if config.labels == "hard" and not isinstance(labels, Denoised) else labels
    return world.train(world.strong, "strong", labels=taught, loss=config.loss)


def _by_class(world: World, config: Config, said: Labels, count: int) -> Labels:
    half, classes = world.part("strong"), range(world.task.n_classes)
    ends = [len(classes) * i // count for i in range(count + 1)]
    ranges = tuple(tuple(classes[a:b]) for a, b in pairwise(ends))
    models = [world.train(world.weak, "weak", labels=world.truth("weak", only=own)) for own in ranges]
    specialists = tuple(world.predict(model, half) for model in models)
    return Assigned(said, specialists, half, "kl" if config.assign == "kl" else "class", ranges)


def _by_cluster(world: World, config: Config, said: Labels, count: int) -> Labels:
    half, weak = world.part("strong"), world.part("weak")
    clusters = Clusters(weak, weak, world.states(world.strong, config.layer), config.layer, count)
    models = [
        world.train(world.weak, weak, labels=Truth(weak, weights=clusters, column=index)) for index in range(count)
    ]
    specialists = tuple(world.predict(model, half) for model in models)
    if config.assign == "kl":
        return Assigned(said, specialists, half, "kl")
    return Assigned(said, specialists, half, "cluster", clusters=clusters.on(half))
