"""A task's rows, and how they are dealt: halves, held-out rows, test rows, pieces."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from w2s.config import Config
from w2s.examples import Side, hash_unit
from w2s.stages.base import Stage, Value, plain
from w2s.task import TaskConfig

PartName = Literal["weak", "strong", "val", "test"]
SIDES: dict[PartName, Side] = {"weak": "source", "strong": "shift"}
"""The side that is a half, in a task that has sides; held-out rows are on both."""


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

    def part_of(self, seed: int, group: str, side: Side | None = None) -> PartName:
        """The part a training group falls into: `val` first, then the two halves, which are the sides where there are any."""
        draw = hash_unit("split", seed, group)
        if draw < self.val:
            return "val"
        if side is not None:
            return "weak" if side == SIDES["weak"] else "strong"
        return "weak" if (draw - self.val) / (1 - self.val) < self.weak else "strong"


@dataclass(frozen=True)
class Piece(Value):
    """The `index`-th of `count` equal shares of a part, by hash of group: fresh rows for every rung of a ladder."""

    index: int
    count: int

    def holds(self, seed: int, group: str) -> bool:
        return int(hash_unit("piece", seed, group) * self.count) == self.index

    def json(self, by_content: bool) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Part(Value):
    """Some of a task's rows. A value, not a stage: readers pick the rows out of the table. `test` knows no seed.

    `side`: of a task with sides, the one the rows are on; None in all other tasks, and of test rows.
    """

    rows: Rows
    name: PartName
    split: Split | None = None
    seed: int | None = None
    piece: Piece | None = None
    side: Side | None = None

    @property
    def words(self) -> str:
        name = f"{self.side} val" if self.side is not None and self.name == "val" else self.name
        return name if self.piece is None else f"{name} {self.piece.index + 1}/{self.piece.count}"

    def json(self, by_content: bool) -> dict[str, Any]:
        """The part as it enters a stage's science; `piece` and `side` came later, and are left out where there is none."""
        found = {item.name: plain(getattr(self, item.name), by_content) for item in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if value is not None or name not in ("piece", "side")}

    def stages(self) -> tuple[Stage, ...]:
        return (self.rows,)
