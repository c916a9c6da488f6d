"""Stages of boosting: how much each row counts after a round, and the vote of all rounds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from w2s.stages.labels import Labels
from w2s.stages.parts import Part

Vote = Literal["soft", "discrete"]


@dataclass(frozen=True)
class Reweighted(Labels):
    """The truth of a part with AdaBoost's weights after a round: more where the round is wrong, less where it is right.

    `judged` are the round's labels of the part, `before` the weights its models learned with (None: all alike). The round's
    error and its say in the vote are kept beside the weights.
    """

    judged: Labels
    rows: Part
    before: Reweighted | None = None

    @property
    def round(self) -> int:
        """Which it is, counted from 1."""
        return 1 if self.before is None else self.before.round + 1

    @property
    def words(self) -> str:
        return f"reweigh {self.rows.words} after round {self.round}: {self.judged.origin} labels"

    @property
    def origin(self) -> str:
        return f"weights after round {self.round}"


@dataclass(frozen=True)
class Boosted(Labels):
    """The verdict of all rounds: `labels` are those of each round, `rounds` say how much they count.

    soft: the mean of their probabilities; discrete: of their most probable classes.
    """

    labels: tuple[Labels, ...]
    rounds: tuple[Reweighted, ...]
    vote: Vote

    @property
    def words(self) -> str:
        return f"boost {self.vote} of {len(self.labels)}: {self.labels[0].words}"

    @property
    def origin(self) -> str:
        return f"{len(self.labels)}x boosted {self.labels[0].origin}"

    def on(self, part: Part) -> Boosted:
        return dataclasses.replace(self, labels=tuple(labels.on(part) for labels in self.labels))
