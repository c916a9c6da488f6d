"""The stage that chooses one of several weak models, by held-out rows alone, and hands on what it stands for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from w2s.stages.labels import Labels
from w2s.stages.parts import Part


@dataclass(frozen=True)
class Selected(Labels):
    """The labels of the one of `options` whose weak model should have the best student (Charikar et al. 2024).

    There is an option for each candidate: its own labels, or those of its student; any rows may be asked about. The choice is
    the same for all of them: the least of (cross-entropy of the candidate's labels `weak` on the held-out rows `val`, whose
    truth is known) - `slope` * (reverse misfit of its student there, `students`, which needs none). With `calibrate` each
    candidate is first made as sure there as it is right.
    """

    options: tuple[Labels, ...]
    weak: tuple[Labels, ...]
    students: tuple[Labels, ...]
    val: Part
    slope: float
    calibrate: bool

    @property
    def words(self) -> str:
        return f"choose 1 of {len(self.options)} by misfit (slope {self.slope:g}): {self.options[0].words}"

    @property
    def origin(self) -> str:
        return f"chosen {self.options[0].origin}"

    def on(self, part: Part) -> Selected:
        return dataclasses.replace(self, options=tuple(option.on(part) for option in self.options))
