"""What came of one finetuning task: how far the weak function, the student and the truth are from one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

FILE = "tasks.json"


@dataclass(frozen=True)
class Outcome:
    """Divergences in the loss of the family: `weak` and `student` from the truth, `misfit` between the two."""

    weak: float
    student: float
    misfit: float

    @property
    def gain(self) -> float:
        return self.weak - self.student


def to_json(families: dict[str, Sequence[Outcome]]) -> dict[str, list[dict[str, Any]]]:
    """The tasks of each family as plain JSON."""
    return {name: [asdict(outcome) for outcome in outcomes] for name, outcomes in families.items()}


def from_json(record: dict[str, list[dict[str, Any]]]) -> dict[str, list[Outcome]]:
    return {name: [Outcome(**one) for one in outcomes] for name, outcomes in record.items()}
