"""Stages of selective supervision: which rows the strong model can answer itself, and weak labels smoothed elsewhere.

Lang, Huang and Li 2025 ("Selective Weak-to-Strong Generalization") leave most choices open; those here are ours.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from w2s.learner import Layer
from w2s.stages.labels import Labels
from w2s.stages.models import Embed
from w2s.stages.parts import Part


@dataclass(frozen=True)
class Knows(Labels):
    """P(IK), "I know" (Kadavath et al. 2022): the probability that the strong model's own label of a row is right.

    A logistic classifier on the model's hidden states, taught by whether its labels `selves` of the rows `reference` (the weak
    half, whose truth is known) are right, then Platt-scaled on the held-out rows `val`. No model learned from those, and their
    truth is known as the weak half's is. (A cut of the weak half itself would flatter the weak model, which has seen all of it.)
    Without `val` it stays as it is. `l2`: None is chosen by 5-fold cross-validation over groups.

    Its labels are [P(not), P(IK)] of every row of the task, whichever part is asked for: of `reference` out of fold.
    """

    selves: Labels
    reference: Part
    features: Embed
    layer: Layer
    l2: float | None = None
    val: Part | None = None
    val_selves: Labels | None = None

    @property
    def words(self) -> str:
        return f"P(IK) from {self.reference.words}: {self.selves.origin} labels"

    @property
    def origin(self) -> str:
        return "P(IK)"

    def on(self, part: Part) -> Knows:
        return self


HowGated = Literal["knows", "confidence", "random", "oracle", "all"]
Rule = Literal["smallest", "most"]


@dataclass(frozen=True)
class Gate(Labels):
    """The strong model's own labels (`selves`) on the rows that pass, `labels` on the rest.

    knows: rows of P(IK) >= tau; confidence, random: as many, those of the surest own labels, or any; all: every row; oracle: the
    rows where the own label is true, a bound. A `tau` of None is chosen on the held-out rows `val`, of those above which own
    labels beat the supervisor's (`val_labels`) by more than a standard error of the paired difference: the smallest, or that of
    the most right targets; with fewer than `least` rows there it is `w2s.work.gate.DEFAULT_TAU`. Where no tau does, nothing passes.
    """

    labels: Labels
    selves: Labels
    rows: Part
    how: HowGated
    hard: bool
    seed: int
    knows: Knows | None = None
    tau: float | None = None
    rule: Rule | None = None
    least: int | None = None
    val: Part | None = None
    val_labels: Labels | None = None
    val_selves: Labels | None = None

    @property
    def words(self) -> str:
        return f"gate {self.rows.words} by {self.how}: {self.selves.origin} or {self.labels.origin} labels"

    @property
    def origin(self) -> str:
        return f"gated {self.labels.origin}"

    @property
    def oracle(self) -> bool:
        return self.how == "oracle"

    def on(self, part: Part) -> Gate:
        """The same rule on other rows."""
        return dataclasses.replace(self, labels=self.labels.on(part), selves=self.selves.on(part), rows=part)


@dataclass(frozen=True)
class Smooth(Labels):
    """Labels that agree with those of near rows, near in a frozen model's hidden states (by the cosine).

    Y <- alpha P Y + (1 - alpha) labels, `steps` times or until nothing moves any more, P being the row-normalised symmetric graph
    of each row's nearest `neighbours`. `clamp`: what passed a gate (`labels` is a Gate) does not move. Held-out and test rows
    keep their labels. `standardise`: centre and scale every feature first.
    """

    labels: Labels
    rows: Part
    features: Embed
    layer: Layer
    neighbours: int
    alpha: float
    steps: int
    clamp: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.clamp and not isinstance(self.labels, Gate):
            raise ValueError("only what passed a gate can be clamped")

    @property
    def words(self) -> str:
        return f"smooth {self.rows.words}: {self.labels.origin} labels"

    @property
    def origin(self) -> str:
        return f"smoothed {self.labels.origin}"

    def on(self, part: Part) -> Labels:
        if part == self.rows:
            return self
        labels = self.labels.on(part)
        return labels if part.name in ("val", "test") else dataclasses.replace(self, labels=labels, rows=part)
