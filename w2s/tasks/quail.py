"""QuAIL: is this the answer to a question about a passage? (Rogers et al. 2020)

"Getting Closer to AI Complete Question Answering: A Set of Prerequisite Real Tasks" (CC BY-NC-SA 4.0); text as in
EleutherAI/w2s. 10,246 training questions with four candidates; the 2,164 validation questions serve as test.
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
    SOURCE: ClassVar[str] = "QuAIL (Rogers et al. 2020), hub textmachinelab/quail, CC BY-NC-SA 4.0"
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = ("context", "question", "answers", "correct_answer_id")

    kind: Literal["quail"] = "quail"
    hub_id: str = "textmachinelab/quail"


ROWS: tuple[dict[str, Any], ...] = (
    {
        "context": "Joe lost his key and slept in the barn.",
        "question": "Where did Joe sleep?",
        "answers": ["At home", "In the barn", "not enough information", "At an inn"],
        "correct_answer_id": 1,
    },
    {
        "context": "Joe lost his key and slept in the barn.",
        "question": "What colour is the barn?",
        "answers": ["Red", "Green", "Blue", "not enough information"],
        "correct_answer_id": 3,
    },
    {
        "context": "Mia baked bread before dawn.",
        "question": "When did Mia bake?",
        "answers": ["Before dawn", "At noon", "not enough information", "At night"],
        "correct_answer_id": 0,
    },
    {
        "context": "The cat hid when the guests came.",
        "question": "Who came?",
        "answers": ["Nobody", "not enough information", "Guests", "A dog"],
        "correct_answer_id": 2,
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A passage, a question, a candidate; questions on one passage share a group."""
    context, asked, answers = row.text("context"), row.text("question"), row.texts("answers")
    return Question(
        group=context,
        draw=(context, asked),
        candidates=answers,
        right=choices.index(row, "correct_answer_id", len(answers)),
        write=lambda answer: f'Passage:\n\n{context}\n\nQ: "{asked}" Is the answer "{answer}"?',
    )
