"""The truth of a part as labels: of some rows more than of others, as members of a crowd learn it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from w2s.examples import hash_unit
from w2s.stages.base import Value
from w2s.stages.labels import Combine, Labels
from w2s.stages.parts import Part, Piece


@dataclass(frozen=True)
class Sample(Value):
    """A member's own share of a part's groups, drawn by chance: with replacement (the bootstrap) or without."""

    seed: int
    share: float = 1.0
    replace: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"a sample's share is above 0 and at most 1, not {self.share}")

    @property
    def words(self) -> str:
        what = "bootstrap" if self.replace else "subset"
        return f"{what} {self.share:g} s{self.seed}"

    def counts(self, groups: list[str]) -> dict[str, int]:
        """How often each of these distinct groups is drawn; which of them, no order decides.

        With replacement, group by group in the order of their hashes' ranks: round(share * count) draws in all.
        """
        ranked = sorted(groups, key=lambda group: hash_unit("sample", self.seed, group))
        drawn = max(1, round(self.share * len(ranked)))
        if not self.replace:
            return {group: int(place < drawn) for place, group in enumerate(ranked)}
        found = dict.fromkeys(ranked, 0)
        for draw in range(drawn):
            found[ranked[int(hash_unit("draw", self.seed, draw) * len(ranked))]] += 1
        return found

    def json(self, by_content: bool) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Truth(Labels):
    """Ground truth as labels, every row weighing as often as its group was drawn; no row outside `only` these classes.

    `left_out` is a piece that is not learned from: whoever learns from all others can judge it (cross-fitting). A row counts for
    its weight in `weights` as well; with a `column`, for its probability of that column there. Held-out and test rows are all
    there, of these classes.
    """

    LATER: ClassVar[tuple[str, ...]] = ("weights", "column")

    rows: Part
    sample: Sample | None = None
    only: tuple[int, ...] | None = None
    left_out: Piece | None = None
    weights: Labels | None = None
    column: int | None = None

    @property
    def words(self) -> str:
        return f"{self.origin} of {self.rows.words}"

    @property
    def origin(self) -> str:
        found = "truth" if self.sample is None else f"truth ({self.sample.words})"
        if self.only is not None:
            found += f" (classes {', '.join(map(str, self.only))})"
        if self.weights is not None:
            found += f" ({self.weights.origin}{'' if self.column is None else f' {self.column + 1}'})"
        return found if self.left_out is None else f"{found} without {self.left_out.index + 1}/{self.left_out.count}"

    def on(self, part: Part) -> Truth:
        if part == self.rows:
            return self
        inside = part.name == self.rows.name
        own, out = (self.sample, self.left_out) if inside else (None, None)
        return Truth(part, own, self.only, out)


@dataclass(frozen=True)
class Joined(Labels):
    """Labels of disjoint pieces put together: every row of `rows` labelled by the one that did not learn from it.

    Rows outside that part (held out, test) are labelled by the mean of all.
    """

    labels: tuple[Labels, ...]
    rows: Part

    @property
    def words(self) -> str:
        return f"join {len(self.labels)} pieces of {self.rows.words}: {self.labels[0].origin}"

    @property
    def origin(self) -> str:
        return f"cross-fitted {self.labels[0].origin}"

    def on(self, part: Part) -> Labels:
        return self if part == self.rows else Combine(tuple(labels.on(part) for labels in self.labels))


def knows_truth(labels: Labels | None) -> bool:
    """Whether whoever learns from these labels learns from the truth (None is the truth of every row)."""
    return labels is None or isinstance(labels, Truth)
