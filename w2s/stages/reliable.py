"""A stage that trusts a crowd's label of a row as far as its members give one answer there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from w2s.stages.labels import Chosen, Labels
from w2s.stages.parts import Part

HowReliable = Literal["filter", "reweight"]


@dataclass(frozen=True)
class Reliable(Chosen):
    """The verdict `labels` of several `members`, weighted by how much they agree (Guo & Yang 2024).

    filter: the share `keep` of rows of the least entropy of answers, and all that have as little. reweight: softmax over
    classes of the answers' frequencies by `temperature`, at the answer given.
    """

    members: tuple[Labels, ...]
    how: HowReliable
    keep: float | None = None
    temperature: float | None = None

    @property
    def origin(self) -> str:
        return f"reliable {self.labels.origin}"

    def on(self, part: Part) -> Labels:
        found = super().on(part)
        if not isinstance(found, Reliable):
            return found
        return dataclasses.replace(found, members=tuple(labels.on(part) for labels in self.members))
