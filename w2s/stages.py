"""The stages: frozen values whose inputs are their fields. Equal work has an equal key, whoever asks for it.

Five carry every classification method: Rows, Train, Predict, Combine, Grade. Embed, Generate and Score join them here when
their work exists. Nothing in this file imports torch or ray.
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
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.task import TaskConfig

PartName = Literal["weak", "strong", "val", "test"]


@dataclass(frozen=True)
class Stage:
    """One piece of work. Its key is a Merkle hash of kind, VERSION and fields; raise VERSION when the work changes."""

    VERSION: ClassVar[int] = 1

    @property
    def kind(self) -> str:
        return type(self).__name__

    @cached_property
    def key(self) -> str:
        """sha256 over kind, VERSION, fields, and the keys of input stages."""
        return content_key(self.science(by_content=True))

    def inputs(self) -> tuple[Stage, ...]:
        """The stages this one reads, each once, in field order."""
        found: dict[str, Stage] = {}
        for item in dataclasses.fields(self):
            for stage in _stages_in(getattr(self, item.name)):
                found.setdefault(stage.key, stage)
        return tuple(found.values())

    def science(self, *, by_content: bool = False) -> dict[str, Any]:
        """The stage as JSON, inputs as {"key": ...}. `by_content` gives the keyed form (digests for local paths)."""
        fields = {item.name: _json(getattr(self, item.name), by_content) for item in dataclasses.fields(self)}
        return {"kind": self.kind, "version": self.VERSION, **fields}


@dataclass(frozen=True)
class Rows(Stage):
    """A task's examples as one table: id, group, texts, label, split (train or test)."""

    task: TaskConfig


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
class Part:
    """Some of a task's rows. A value, not a stage: readers pick the rows out of the table. `test` knows no seed."""

    rows: Rows
    name: PartName
    split: Split | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Train(Stage):
    """Finetune a learner on a part's rows. `labels` None means ground truth. `val` is held out for curves and selection."""

    learner: Learner
    rows: Part
    labels: Labels | None
    loss: LossConfig
    seed: int
    val: Part | None = None
    val_labels: Labels | None = None


@dataclass(frozen=True)
class Labels(Stage):
    """A stage that yields class probabilities by example id (labels.parquet)."""

    def on(self, part: Part) -> Labels:
        """The same labeller, asked about other rows."""
        raise TypeError(f"{self.kind} cannot label other rows")


@dataclass(frozen=True)
class Predict(Labels):
    """A trained model's class probabilities on some rows."""

    model: Train
    rows: Part

    def on(self, part: Part) -> Predict:
        return dataclasses.replace(self, rows=part)


HowCombined = Literal["mean_prob", "mean_logit", "majority"]


@dataclass(frozen=True)
class Combine(Labels):
    """Several labellers' verdicts on the same rows made one."""

    labels: tuple[Labels, ...]
    how: HowCombined = "mean_prob"

    def on(self, part: Part) -> Combine:
        return dataclasses.replace(self, labels=tuple(labels.on(part) for labels in self.labels))


@dataclass(frozen=True)
class Grade(Stage):
    """Labels held against ground truth, and against the supervisor's labels where there is one."""

    labels: Labels
    rows: Part
    supervisor: Labels | None = None


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
        return {item.name: _json(getattr(value, item.name), by_content) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_json(item, by_content) for item in value]
    if isinstance(value, Config):
        return identity(value) if by_content else value.dump()
    return value
