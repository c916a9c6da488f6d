"""Cosmos QA: is this the answer to a question about an everyday story? (Huang et al. 2019)

"Cosmos QA: Machine Reading Comprehension with Contextual Commonsense Reasoning" (CC BY 4.0); text as in
openai/weak-to-strong. 25,262 training questions with four candidates; the 2,985 validation questions serve as test (the test
split has no answers).
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

NONE_OF_THEM = "None of the above choices ."
ANSWERS = ("answer0", "answer1", "answer2", "answer3")


class Config(ChoiceConfig):
    SOURCE: ClassVar[str] = "Cosmos QA (Huang et al. 2019), hub allenai/cosmos_qa, CC BY 4.0"
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = ("context", "question", *ANSWERS, "label")

    kind: Literal["cosmos_qa"] = "cosmos_qa"
    hub_id: str = "allenai/cosmos_qa"
    revision: str = CONVERTED  # main holds a loading script, which `datasets` 4 no longer runs


ROWS: tuple[dict[str, Any], ...] = (
    {
        "id": "a",
        "context": "We ran .",
        "question": "Why ?",
        "answer0": "We were late .",
        "answer1": "We slept .",
        "answer2": "We ate .",
        "answer3": NONE_OF_THEM,
        "label": 0,
    },
    {
        "id": "b",
        "context": "We ran .",
        "question": "Where ?",
        "answer0": "To bed .",
        "answer1": "To the train .",
        "answer2": "To sea .",
        "answer3": NONE_OF_THEM,
        "label": 1,
    },
    {
        "id": "c",
        "context": "It rained .",
        "question": "When ?",
        "answer0": "In June .",
        "answer1": "At sea .",
        "answer2": "By car .",
        "answer3": NONE_OF_THEM,
        "label": 3,
    },
    {
        "id": "d",
        "context": "Tea .",
        "question": "Who ?",
        "answer0": "A fish .",
        "answer1": "A tree .",
        "answer2": "Her aunt .",
        "answer3": NONE_OF_THEM,
        "label": 2,
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form.

    Where the right answer is that none of the choices fits, `single` always shows a wrong one and `all` leaves the
    question out: "none of the above" says nothing about the story. That pushes the share of 1 slightly under a half.
    """
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A story, a question, a candidate; questions on one story share a group."""
    context, asked = row.text("context"), row.text("question")
    answers = tuple(row.text(column) for column in ANSWERS)
    right = choices.index(row, "label", len(answers))
    return Question(
        group=context,
        draw=(context, asked),  # or all questions on one context would be right or wrong together
        candidates=answers,
        right=right,
        write=lambda answer: f"Context: {context}\nQuestion: {asked}\nAnswer: {answer}",
        refuse=NONE_OF_THEM in answers[right],
    )
