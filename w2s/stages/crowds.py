"""Stages over several labellers: put side by side, or made as sure as they are right."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from w2s.stages.labels import Labels
from w2s.stages.parts import Part


@dataclass(frozen=True)
class Crowd(Labels):
    """Several labellers side by side, for a loss that listens to each (`CROWD` losses). To all others it is their mean."""

    labels: tuple[Labels, ...]

    @property
    def words(self) -> str:
        return f"crowd of {len(self.labels)}: {self.labels[0].words}"

    @property
    def origin(self) -> str:
        return f"{len(self.labels)} side by side, {self.labels[0].origin}"

    def on(self, part: Part) -> Crowd:
        return Crowd(tuple(labels.on(part) for labels in self.labels))


@dataclass(frozen=True)
class Calibrated(Labels):
    """A labeller's probabilities at the temperature that fits held-out rows best, whose truth its teacher knew (Guo et al. 2017).

    `held_out` are its labels of the rows `val`, which it did not learn from.
    """

    labels: Labels
    held_out: Labels
    val: Part

    @property
    def words(self) -> str:
        return f"calibrate {self.labels.words}"

    @property
    def origin(self) -> str:
        return f"calibrated {self.labels.origin}"

    def on(self, part: Part) -> Calibrated:
        return dataclasses.replace(self, labels=self.labels.on(part))
