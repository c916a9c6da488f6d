"""QuaRTz: is this the answer to a question on how one quantity moves another? (Tafjord et al. 2019)

"QuaRTz: An Open-Domain Dataset of Qualitative Relationship Questions" (CC BY 4.0); text as in EleutherAI/w2s. 2,696 training and
784 test questions with two candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s import choices
from w2s.choices import ChoiceConfig, Question
from w2s.examples import Example
from w2s.tables import Row
from w2s.task import Split


class Config(ChoiceConfig):
    SOURCE: ClassVar[str] = "QuaRTz (Tafjord et al. 2019), hub allenai/quartz, CC BY 4.0"
    CANDIDATES: ClassVar[int] = 2
    COLUMNS: ClassVar[tuple[str, ...]] = ("question", "choices", "answerKey", "para")

    kind: Literal["quartz"] = "quartz"
    hub_id: str = "allenai/quartz"


ROWS: tuple[dict[str, Any], ...] = (
    {
        "question": "In a warm room ice melts",
        "choices": {"text": ["faster", "slower"], "label": ["A", "B"]},
        "answerKey": "A",
        "para": "More heat melts ice faster.",
    },
    {
        "question": "In a cold room ice melts",
        "choices": {"text": ["faster", "slower"], "label": ["A", "B"]},
        "answerKey": "B",
        "para": "More heat melts ice faster.",
    },
    {
        "question": "A longer string sounds",
        "choices": {"text": ["higher", "lower"], "label": ["A", "B"]},
        "answerKey": "B",
        "para": "The longer a string, the lower its tone.",
    },
    {
        "question": "A steeper hill makes a ball roll",
        "choices": {"text": ["quicker", "slower"], "label": ["A", "B"]},
        "answerKey": "A",
        "para": "Steep slopes speed things up.",
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A passage, a question, a candidate; questions on one passage share a group."""
    passage, asked = row.text("para"), row.text("question")
    candidates, right = choices.lettered(row)
    return Question(
        group=passage,
        draw=(passage, asked),
        candidates=candidates,
        right=right,
        write=lambda answer: f'Passage:\n{passage}\n\nQ: "{asked}" Is the answer "{answer}"?',
    )
