"""DREAM: is this the answer to a question about a dialogue? (Sun et al. 2019)

"DREAM: A Challenge Data Set and Models for Dialogue-Based Reading Comprehension"; text as in EleutherAI/w2s. 6,116 training and
2,041 test questions with three candidates.
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
    SOURCE: ClassVar[str] = "DREAM (Sun et al. 2019), hub dataset-org/dream, research use"
    CANDIDATES: ClassVar[int] = 3
    COLUMNS: ClassVar[tuple[str, ...]] = ("dialogue", "question", "choice", "answer")

    kind: Literal["dream"] = "dream"
    hub_id: str = "dataset-org/dream"
    revision: str = CONVERTED  # main holds a loading script, which `datasets` 4 no longer runs


ROWS: tuple[dict[str, Any], ...] = (
    {
        "dialogue": ["W: Shall we walk?", "M: It rains. Let us take the bus."],
        "question": "How will they go?",
        "choice": ["On foot.", "By bus.", "By car."],
        "answer": "By bus.",
    },
    {
        "dialogue": ["W: Shall we walk?", "M: It rains. Let us take the bus."],
        "question": "How is the weather?",
        "choice": ["It rains.", "It snows.", "The sun shines."],
        "answer": "It rains.",
    },
    {
        "dialogue": ["M: A table for two, please.", "W: This way."],
        "question": "Where are they?",
        "choice": ["At a bank.", "In a school.", "In a restaurant."],
        "answer": "In a restaurant.",
    },
    {
        "dialogue": ["W: The tea is cold.", "M: I will make more."],
        "question": "What will the man do?",
        "choice": ["Make tea.", "Go out.", "Sleep."],
        "answer": "Make tea.",
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A dialogue, a question, a candidate; questions on one dialogue share a group."""
    dialogue, asked = "\n".join(row.texts("dialogue")), row.text("question")
    candidates = row.texts("choice")
    return Question(
        group=dialogue,
        draw=(dialogue, asked),
        candidates=candidates,
        right=choices.place_of(row, "answer", candidates),
        write=lambda answer: f"{dialogue}\n\nQ: {asked} A: {answer}",
    )
