"""Social IQa: is this the answer to a question about what people do and feel? (Sap et al. 2019)

"Social IQa: Commonsense Reasoning about Social Interactions" (CC BY 4.0); text as in EleutherAI/w2s, but the choices are listed
in an order drawn by hash. 33,410 training questions with three candidates; the 1,954 validation questions serve as test.
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
    SOURCE: ClassVar[str] = "Social IQa (Sap et al. 2019), hub allenai/social_i_qa, CC BY 4.0"
    CANDIDATES: ClassVar[int] = 3
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = ("context", "question", "answerA", "answerB", "answerC", "label")

    kind: Literal["social_i_qa"] = "social_i_qa"
    hub_id: str = "allenai/social_i_qa"
    revision: str = CONVERTED  # main holds a loading script, which `datasets` 4 no longer runs


ROWS: tuple[dict[str, Any], ...] = (
    {
        "context": "Max broke the cup and said sorry.",
        "question": "How does Max feel?",
        "answerA": "proud",
        "answerB": "guilty",
        "answerC": "sleepy",
        "label": "2",
    },
    {
        "context": "Max broke the cup and said sorry.",
        "question": "What will Max do next?",
        "answerA": "sweep up",
        "answerB": "sing",
        "answerC": "break more",
        "label": "1",
    },
    {
        "context": "Eve lent Dan her coat.",
        "question": "Why did Eve do this?",
        "answerA": "she was angry",
        "answerB": "Dan ran",
        "answerC": "Dan was cold",
        "label": "3",
    },
    {
        "context": "Lou won the race.",
        "question": "How do Lou's friends feel?",
        "answerA": "glad",
        "answerB": "lost",
        "answerC": "hungry",
        "label": "1",
    },
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A scene, a question, its choices and one of them in question; questions on one scene share a group."""
    context, asked = row.text("context"), row.text("question")
    answers = (row.text("answerA"), row.text("answerB"), row.text("answerC"))
    scene = f'Context:\n{context}\n\nQuestion: "{asked}"'
    told = f"{scene}\n\nChoices:\n{choices.listed(answers, (context, asked))}"
    return Question(
        group=context,
        draw=(context, asked, *sorted(answers)),  # a question may come back with other choices
        candidates=answers,
        right=choices.index(row, "label", 3, first=1),
        write=lambda answer: f'{told}\n\nIs the answer "{answer}"?',
        alone=lambda answer: f'{scene}\n\nIs the answer "{answer}"?',
    )
