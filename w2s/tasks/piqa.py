"""PIQA: is this a way to reach an everyday goal? (Bisk et al. 2020)

"PIQA: Reasoning about Physical Commonsense in Natural Language" (AFL-3.0); text as in EleutherAI/w2s. 16,113 training goals with
two solutions; the 1,838 validation goals serve as test (the test split has no labels).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s import choices
from w2s.choices import ChoiceConfig, Question
from w2s.examples import Example
from w2s.hub import CONVERTED
from w2s.tables import Row
from w2s.task import Split


class Config(ChoiceConfig):
    SOURCE: ClassVar[str] = "PIQA (Bisk et al. 2020), hub ybisk/piqa, AFL-3.0"
    CANDIDATES: ClassVar[int] = 2
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = ("goal", "sol1", "sol2", "label")

    kind: Literal["piqa"] = "piqa"
    hub_id: str = "ybisk/piqa"
    revision: str = CONVERTED  # main holds a loading script, which `datasets` 4 no longer runs


ROWS: tuple[dict[str, Any], ...] = (
    {"goal": "Dry a wet shoe", "sol1": "Fill it with newspaper.", "sol2": "Fill it with soup.", "label": 0},
    {"goal": "Open a tight jar", "sol1": "Freeze the lid.", "sol2": "Warm the lid.", "label": 1},
    {"goal": "Keep a door open", "sol1": "Use a wedge.", "sol2": "Use a feather.", "label": 0},
    {"goal": "Cut a cake", "sol1": "Use a spoon's handle.", "sol2": "Use a knife.", "label": 1},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A goal and a solution; rows on one goal share a group."""
    goal, solutions = row.text("goal"), (row.text("sol1"), row.text("sol2"))
    return Question(
        group=goal,
        draw=(goal, *sorted(solutions)),  # a goal may come back with other solutions
        candidates=solutions,
        right=choices.index(row, "label", 2),
        write=lambda solution: f"Q: {goal} A: {solution}",
    )
