"""OpenBookQA: is this the answer to an elementary science question? (Mihaylov et al. 2018)

"Can a Suit of Armor Conduct Electricity? A New Dataset for Open Book Question Answering". EleutherAI/w2s writes right answers by
their letter and wrong ones by their text, so the last character gives the label away; here both are written by their text,
and the choices are listed without letters. 4,957 training and 500 test questions.
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
    SOURCE: ClassVar[str] = "OpenBookQA (Mihaylov et al. 2018), hub allenai/openbookqa (main), free to use"
    SUBSET: ClassVar[str | None] = "main"
    COLUMNS: ClassVar[tuple[str, ...]] = ("question_stem", "choices", "answerKey")

    kind: Literal["openbookqa"] = "openbookqa"
    hub_id: str = "allenai/openbookqa"


ROWS: tuple[dict[str, Any], ...] = (
    {
        "question_stem": "Plants make food from",
        "choices": {"text": ["light", "sand", "iron", "wool"], "label": ["A", "B", "C", "D"]},
        "answerKey": "A",
    },
    {
        "question_stem": "Ice is a kind of",
        "choices": {"text": ["gas", "water", "metal", "wood"], "label": ["A", "B", "C", "D"]},
        "answerKey": "B",
    },
    {
        "question_stem": "A magnet pulls",
        "choices": {"text": ["glass", "paper", "nails", "milk"], "label": ["A", "B", "C", "D"]},
        "answerKey": "C",
    },
    {
        "question_stem": "The moon goes around",
        "choices": {"text": ["Mars", "a star", "the sea", "the Earth"], "label": ["A", "B", "C", "D"]},
        "answerKey": "D",
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A question, its choices, and one of them as the answer."""
    stem = row.text("question_stem")
    candidates, right = choices.lettered(row)
    told = f"Q: {stem}\n\nChoices:\n{choices.listed(candidates, (stem,))}"
    return Question(
        group=stem,
        draw=(stem,),
        candidates=candidates,
        right=right,
        write=lambda answer: f"{told}\n\nAnswer: {answer}",
        alone=lambda answer: f"Q: {stem} A: {answer}",
    )
