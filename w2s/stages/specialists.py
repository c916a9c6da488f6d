"""Stages of co-supervised learning: who knows which rows, whose label a row is given, and which labels are let through."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from w2s.learner import Layer
from w2s.stages.labels import Chosen, Labels
from w2s.stages.models import Embed
from w2s.stages.parts import Part

HowAssigned = Literal["class", "cluster", "kl"]


@dataclass(frozen=True)
class Clusters(Labels):
    """Which of `count` clusters each row belongs to (one-hot): k-means of a frozen model's hidden states of the `reference`."""

    rows: Part
    reference: Part
    features: Embed
    layer: Layer
    count: int

    @property
    def words(self) -> str:
        return f"cluster {self.rows.words} in {self.count}"

    @property
    def origin(self) -> str:
        return f"of {self.count} clusters number"

    def on(self, part: Part) -> Clusters:
        return dataclasses.replace(self, rows=part)


@dataclass(frozen=True)
class Assigned(Labels):
    """Every row labelled by one of several specialists (Liu & Alahi 2024).

    class: the one whose `ranges` hold the student's most probable class; cluster: the one of the row's own cluster; kl: the
    one with the smallest KL(student || specialist).
    """

    student: Labels
    specialists: tuple[Labels, ...]
    rows: Part
    how: HowAssigned
    ranges: tuple[tuple[int, ...], ...] = ()
    clusters: Labels | None = None

    @property
    def words(self) -> str:
        return f"assign {self.rows.words} to {len(self.specialists)} by {self.how}: {self.specialists[0].origin} labels"

    @property
    def origin(self) -> str:
        return f"{len(self.specialists)} specialists' {self.specialists[0].origin}"

    def on(self, part: Part) -> Assigned:
        return dataclasses.replace(
            self,
            student=self.student.on(part),
            specialists=tuple(labels.on(part) for labels in self.specialists),
            rows=part,
            clusters=None if self.clusters is None else self.clusters.on(part),
        )


@dataclass(frozen=True)
class Denoised(Chosen):
    """New labels less those that the current student finds unlikely.

    The share of labels among its `top` most probable classes is how many are kept: those of the smallest cross-entropy.
    """

    student: Labels
    top: int

    @property
    def origin(self) -> str:
        return f"denoised {self.labels.origin}"

    def on(self, part: Part) -> Labels:
        found = super().on(part)
        return dataclasses.replace(found, student=self.student.on(part)) if isinstance(found, Denoised) else found
