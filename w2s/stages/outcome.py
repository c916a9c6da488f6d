"""What a method promises: grades."""

from __future__ import annotations

from dataclasses import dataclass, field

from w2s.stages.base import Stage
from w2s.stages.labels import Labels
from w2s.stages.parts import Part


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
