"""Stages that train: whole models, and heads on the hidden states of frozen ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from w2s.learner import Layer, Learner, ModelRef
from w2s.loss import LossConfig
from w2s.stages.base import Stage
from w2s.stages.parts import Part, Rows

if TYPE_CHECKING:
    from w2s.stages.labels import Labels


@dataclass(frozen=True)
class Embed(Stage):
    """A frozen model's hidden states of all of a task's rows, one vector a text for each of some layers, in one pass.

    `layers` count from 0 (the embeddings) to the model's depth; negative ones from the end; `middle` is half the depth.
    """

    model: ModelRef
    rows: Rows
    layers: tuple[Layer, ...]
    pooling: str
    max_tokens: int
    precision: str

    @property
    def words(self) -> str:
        return f"embed by {self.model.short}, layer {', '.join(map(str, self.layers))}"


@dataclass(frozen=True)
class Model(Stage):
    """A learner taught by a part's rows. `labels` None means ground truth. `val` is held out for curves and selection."""

    learner: Learner
    rows: Part
    labels: Labels | None
    loss: LossConfig
    seed: int
    val: Part | None = None
    val_labels: Labels | None = None

    @property
    def words(self) -> str:
        learned = "truth" if self.labels is None else f"{self.labels.origin} labels"
        drawn = self.rows.seed if isinstance(self, Probe) else self.seed  # a probe's halves are all that a seed decides
        what = f"{self.learner.model.short} on {self.rows.words} ({learned}, {self.loss.kind}) s{drawn}"
        return f"{self.kind.lower()} {what}"


@dataclass(frozen=True)
class Adapt(Stage):
    """Plain next-token finetuning of a learner's language model on all texts of a part, whatever their labels.

    Burns et al. 2023, section 5.2.2: what a model knows should be easier to ask for where it has read texts of the kind.
    """

    learner: Learner
    rows: Part
    seed: int

    @property
    def words(self) -> str:
        return f"adapt {self.learner.model.short} to {self.rows.words} s{self.seed}"


@dataclass(frozen=True)
class Train(Model):
    """Finetune a learner's model, as it was pretrained or from where an Adapt stage left it."""

    LATER: ClassVar[tuple[str, ...]] = ("start",)

    start: Adapt | None = None

    @property
    def words(self) -> str:
        return super().words if self.start is None else f"{super().words}, adapted"


@dataclass(frozen=True)
class Probe(Model):
    """Fit a linear head on hidden states that an Embed stage holds."""

    features: Embed = field(kw_only=True)
