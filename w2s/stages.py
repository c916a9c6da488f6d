"""The stages: frozen values whose inputs are their fields. Equal work has an equal key, whoever asks for it.

Rows, Train, Predict, Combine and Grade carry most methods. Embed and Probe stand in for Train where a frozen model's hidden
states are computed once and only a head is trained on them. Nothing in this file imports torch or ray.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from cluster.key import content_key
from w2s.config import Config, identity
from w2s.examples import hash_unit
from w2s.learner import Layer, Learner, ModelRef
from w2s.loss import LossConfig
from w2s.task import TaskConfig

PartName = Literal["weak", "strong", "val", "test"]


@dataclass(frozen=True)
class Stage:
    """One piece of work. Its key is a Merkle hash of kind, VERSION and fields; raise VERSION when the work changes."""

    VERSION: ClassVar[int] = 1
    LATER: ClassVar[tuple[str, ...]] = ()
    """Fields that came after others had keys: left out of the key where they are None."""

    @property
    def kind(self) -> str:
        return type(self).__name__

    @cached_property
    def key(self) -> str:
        """sha256 over kind, VERSION, fields, and the keys of input stages."""
        return content_key(self.science(by_content=True))

    @property
    def words(self) -> str:
        """What is done, for people. Not unique; keys are."""
        raise NotImplementedError(f"{self.kind} has no words")

    def inputs(self) -> tuple[Stage, ...]:
        """The stages this one reads, each once, in field order."""
        found: dict[str, Stage] = {}
        for item in dataclasses.fields(self):
            for stage in _stages_in(getattr(self, item.name)):
                found.setdefault(stage.key, stage)
        return tuple(found.values())

    def science(self, *, by_content: bool = False) -> dict[str, Any]:
        """The stage as JSON, inputs as {"key": ...}. `by_content` gives the keyed form (digests for local paths)."""
        fields = {
            item.name: _json(getattr(self, item.name), by_content)
            for item in dataclasses.fields(self)
            if not (item.name in self.LATER and getattr(self, item.name) is None)
        }
        return {"kind": self.kind, "version": self.VERSION, **fields}


@dataclass(frozen=True)
class Rows(Stage):
    """A task's examples as one table: id, group, texts, label, split (train or test)."""

    task: TaskConfig

    @property
    def words(self) -> str:
        return "rows"


class Split(Config):
    """How the training rows are divided, by hash of (seed, group): no neighbour changes a row's part."""

    val: float = Field(0.1, ge=0, lt=1, description="share of training groups held out for curves and selection")
    weak: float = Field(0.5, gt=0, lt=1, description="the weak half's share of the rest")

    def part_of(self, seed: int, group: str) -> PartName:
        """The part a training group falls into: `val` first, then the two halves."""
        draw = hash_unit("split", seed, group)
        if draw < self.val:
            return "val"
        return "weak" if (draw - self.val) / (1 - self.val) < self.weak else "strong"


@dataclass(frozen=True)
class Piece:
    """The `index`-th of `count` equal shares of a part, by hash of group: fresh rows for every rung of a ladder."""

    index: int
    count: int

    def holds(self, seed: int, group: str) -> bool:
        return int(hash_unit("piece", seed, group) * self.count) == self.index


@dataclass(frozen=True)
class Part:
    """Some of a task's rows. A value, not a stage: readers pick the rows out of the table. `test` knows no seed."""

    rows: Rows
    name: PartName
    split: Split | None = None
    seed: int | None = None
    piece: Piece | None = None

    @property
    def words(self) -> str:
        return self.name if self.piece is None else f"{self.name} {self.piece.index + 1}/{self.piece.count}"

    def json(self, by_content: bool) -> dict[str, Any]:
        """The part as it enters a stage's science; `piece` came later, and is left out where there is none."""
        found = {item.name: _json(getattr(self, item.name), by_content) for item in dataclasses.fields(self)}
        if self.piece is None:
            del found["piece"]
        return found


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
        what = f"{self.learner.model.short} on {self.rows.words} ({learned}, {self.loss.kind}) s{self.seed}"
        return f"{self.kind.lower()} {what}"


@dataclass(frozen=True)
class Train(Model):
    """Finetune a learner's model."""


@dataclass(frozen=True)
class Probe(Model):
    """Fit a linear head on hidden states that an Embed stage holds."""

    features: Embed = field(kw_only=True)


@dataclass(frozen=True)
class Labels(Stage):
    """A stage that yields class probabilities by example id (labels.parquet), and maybe a weight for each row."""

    @property
    def origin(self) -> str:
        """Whose labels these are, in a word or two."""
        return self.words

    def on(self, part: Part) -> Labels:
        """The same labeller, asked about other rows."""
        raise TypeError(f"{self.kind} cannot label other rows")


@dataclass(frozen=True)
class Predict(Labels):
    """A trained model's class probabilities on some rows."""

    model: Model
    rows: Part

    def inputs(self) -> tuple[Stage, ...]:
        """A head reads the hidden states it was trained on, at other rows."""
        own = super().inputs()
        return (*own, self.model.features) if isinstance(self.model, Probe) else own

    @property
    def words(self) -> str:
        return f"predict {self.rows.words} by {self.model.words.partition(' ')[2]}"

    @property
    def origin(self) -> str:
        return self.model.learner.model.short

    def on(self, part: Part) -> Predict:
        return dataclasses.replace(self, rows=part)


@dataclass(frozen=True)
class Given(Labels):
    """Class probabilities that came with the task's rows (a column of task `features`): a supervisor nobody trains here."""

    column: str
    rows: Part

    @property
    def words(self) -> str:
        return f"given {self.column} of {self.rows.words}"

    @property
    def origin(self) -> str:
        return self.column

    def on(self, part: Part) -> Given:
        return dataclasses.replace(self, rows=part)


HowCombined = Literal["mean_prob", "mean_logit", "majority"]


@dataclass(frozen=True)
class Combine(Labels):
    """Several labellers' verdicts on the same rows made one."""

    labels: tuple[Labels, ...]
    how: HowCombined = "mean_prob"

    @property
    def words(self) -> str:
        return f"combine {self.how} of {len(self.labels)}: {self.labels[0].words}"

    @property
    def origin(self) -> str:
        return f"{len(self.labels)}x {self.labels[0].origin}"

    def on(self, part: Part) -> Combine:
        return dataclasses.replace(self, labels=tuple(labels.on(part) for labels in self.labels))


@dataclass(frozen=True)
class Grade(Stage):
    """Labels held against ground truth, and against the supervisor's labels where there is one."""

    labels: Labels
    rows: Part
    supervisor: Labels | None = None

    @property
    def words(self) -> str:
        return f"grade {self.labels.words}"


@dataclass(frozen=True)
class Outcome:
    """What a method promises: three grades on the test rows, and whatever else it wants kept, by name."""

    floor: Grade
    transfer: Grade
    ceiling: Grade
    extras: dict[str, Stage] = field(default_factory=dict)

    def stages(self) -> tuple[Stage, ...]:
        return (self.floor, self.transfer, self.ceiling, *self.extras.values())


def reached(*roots: Stage) -> list[Stage]:
    """Every stage object below the roots (equal ones may repeat), without computing a key."""
    found: dict[int, Stage] = {}
    ahead = list(roots)
    while ahead:
        stage = ahead.pop()
        if id(stage) not in found:
            found[id(stage)] = stage
            ahead.extend(below for item in dataclasses.fields(stage) for below in _stages_in(getattr(stage, item.name)))
    return list(found.values())


def walk(*roots: Stage) -> dict[str, Stage]:
    """Every stage below the roots by key, inputs before those who need them."""
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.key in found:
            return
        for needed in stage.inputs():
            visit(needed)
        found[stage.key] = stage

    for root in roots:
        visit(root)
    return found


def _stages_in(value: Any) -> Iterator[Stage]:
    if isinstance(value, Stage):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _stages_in(item)
    elif isinstance(value, Part):
        yield value.rows


def _json(value: Any, by_content: bool) -> Any:
    if isinstance(value, Stage):
        return {"key": value.key}
    if isinstance(value, Part):
        return value.json(by_content)
    if isinstance(value, Piece):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_json(item, by_content) for item in value]
    if isinstance(value, Config):
        return identity(value) if by_content else value.dump()
    return value
