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
class GradeAnswers(Grade):
    """Written answers held against the true ones, and against the supervisor's: right is an exact match."""


@dataclass(frozen=True)
class Outcome:
    """What a method promises: grades on the test rows, and whatever else it wants kept, by name.

    A side that the method never makes is None: a floor alone has no student, a ceiling alone no supervisor.
    """

    floor: Grade | None = None
    transfer: Grade | None = None
    ceiling: Grade | None = None
    extras: dict[str, Stage] = field(default_factory=dict)

    def stages(self) -> tuple[Stage, ...]:
        return (*self.sides().values(), *self.extras.values())

    def sides(self) -> dict[str, Grade]:
        """The sides there are, by name, in the order in which they are told."""
        named = {"floor": self.floor, "transfer": self.transfer, "ceiling": self.ceiling}
        return {name: grade for name, grade in named.items() if grade is not None}
