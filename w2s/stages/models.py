"""Stages that train: whole models, and heads on the hidden states of frozen ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from w2s.explain import Explain
from w2s.learner import Layer, Learner, ModelRef
from w2s.loss import LossConfig
from w2s.stages.base import Stage, Value
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
class Leg(Value):
    """The `index`-th of `count` equal cuts of a training run: step s of `total` belongs to leg s * count // total."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"there is no leg {self.index} of {self.count}; legs count from 0")

    @property
    def words(self) -> str:
        return f"leg {self.index + 1}/{self.count}"

    @property
    def last(self) -> bool:
        return self.index == self.count - 1

    def span(self, total: int) -> tuple[int, int]:
        """The first step of the leg, and the first one after it. Empty for some where there are fewer steps than legs."""
        return -(-self.index * total // self.count), -(-(self.index + 1) * total // self.count)

    def json(self, by_content: bool) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Train(Model):
    """Finetune a learner's model, as it was pretrained or from where an Adapt stage left it.

    A `leg` is a part of such a run: it goes on from where `before`, the leg before it, left model, optimizer and random
    numbers, and leaves its own state for the next in `state/` (12 bytes a learning parameter with Adam, beside the model;
    the last leg leaves none). All legs in a row are the uncut run, bit for bit, where the loss of each is that run's as far
    as the leg goes.
    """

    VERSION: ClassVar[int] = 2  # 2: confidence and misfit on held-out rows
    LATER: ClassVar[tuple[str, ...]] = ("start", "leg", "before", "order", "explain", "stretched")

    start: Adapt | None = None
    leg: Leg | None = None
    before: Train | None = None
    order: int | None = None  # the seed of the order in which rows are met, where that is not `seed`
    explain: Explain | None = None  # what rationales of the rows add to its loss
    stretched: bool | None = None  # as many steps as all rows of the part would take, however few count

    @property
    def words(self) -> str:
        adapted = "" if self.start is None else ", adapted"
        adapted += "" if self.order is None else f", order {self.order}"
        adapted += "" if self.explain is None else f", explained by {self.explain.by}"
        return super().words + adapted + ("" if self.leg is None else f", {self.leg.words}")


@dataclass(frozen=True)
class Write(Model):
    """Finetune a learner's language model to write the answers of a part: the true ones, or those of an Answers stage.

    `loss` is the next-token cross-entropy of an answer's tokens and the end after it; a prompt is read, not learned. A prompt
    leaves room for an answer of `max_new_tokens`. Nothing is held out.
    """

    max_new_tokens: int = field(kw_only=True)


@dataclass(frozen=True)
class Probe(Model):
    """Fit a linear head on hidden states that an Embed stage holds."""

    VERSION: ClassVar[int] = 2  # 2: confidence and misfit on held-out rows

    features: Embed = field(kw_only=True)
