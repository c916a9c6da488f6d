"""SciQ: is this the answer to a science question? With its supporting passage on request. (Welbl et al. 2017)

"Crowdsourcing Multiple Choice Science Questions" (CC BY-NC 3.0); text as in openai/weak-to-strong. 11,679 training and 1,000
test questions with four candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from w2s import choices
from w2s.choices import ChoiceConfig, Question
from w2s.examples import Example
from w2s.tables import Row
from w2s.task import Split

ANSWERS = ("correct_answer", "distractor1", "distractor2", "distractor3")


class Config(ChoiceConfig):
    SOURCE: ClassVar[str] = "SciQ (Welbl et al. 2017), hub allenai/sciq, CC BY-NC 3.0"
    COLUMNS: ClassVar[tuple[str, ...]] = ("question", *ANSWERS)

    kind: Literal["sciq"] = "sciq"
    hub_id: str = "allenai/sciq"
    support: bool = Field(False, description="the passage that supports the answer stands before the question")


ROWS: tuple[dict[str, Any], ...] = (
    {
        "question": "What gas do plants take in?",
        "correct_answer": "carbon dioxide",
        "distractor1": "neon",
        "distractor2": "helium",
        "distractor3": "ozone",
        "support": "Plants take in carbon dioxide and give off oxygen.",
    },
    {
        "question": "What force pulls things down?",
        "correct_answer": "gravity",
        "distractor1": "friction",
        "distractor2": "lift",
        "distractor3": "drag",
        "support": "Gravity pulls all masses together.",
    },
    {
        "question": "What is frozen water called?",
        "correct_answer": "ice",
        "distractor1": "steam",
        "distractor2": "dew",
        "distractor3": "fog",
        "support": "",
    },
    {
        "question": "What organ pumps blood?",
        "correct_answer": "heart",
        "distractor1": "lung",
        "distractor2": "liver",
        "distractor3": "skin",
        "support": "The heart is a muscle that pumps blood.",
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, partial(question, support=config.support))


def question(row: Row, support: bool = False) -> Question:
    """`Q: ... A: ...` with one of the four answers; rows on one question share a group."""
    asked = row.text("question")
    passage = row.text("support") if support else ""
    before = f"{passage}\n" if passage else ""  # a tenth of the questions have none
    return Question(
        group=asked,
        draw=(asked,),
        candidates=tuple(row.text(column) for column in ANSWERS),
        right=0,
        write=lambda answer: f"{before}Q: {asked} A: {answer}",
    )
