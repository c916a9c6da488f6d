"""HellaSwag: is this how a scene goes on? (Zellers et al. 2019)

"HellaSwag: Can a Machine Really Finish Your Sentence?" (MIT); text as in EleutherAI/w2s, but the endings are listed in an order
drawn by hash. 39,905 training scenes; the 10,042 validation scenes serve as test (the test split has no labels).
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
    SOURCE: ClassVar[str] = "HellaSwag (Zellers et al. 2019), hub Rowan/hellaswag, MIT"
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = ("ctx", "endings", "label")

    kind: Literal["hellaswag"] = "hellaswag"
    hub_id: str = "Rowan/hellaswag"


ROWS: tuple[dict[str, Any], ...] = (
    {"ctx": "A man lifts a bar. He", "endings": ["drops it.", "eats it.", "sings to it.", "paints it."], "label": "0"},
    {"ctx": "A dog sees a ball. It", "endings": ["reads.", "fetches it.", "drives off.", "cooks."], "label": "1"},
    {"ctx": "She opens a book and", "endings": ["swims.", "flies.", "reads.", "melts."], "label": "2"},
    {"ctx": "Rain falls. People", "endings": ["tan.", "ski.", "dig.", "open umbrellas."], "label": "3"},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """The questions in the configured form."""
    return choices.examples(config, split, question)


def question(row: Row) -> Question:
    """A scene, all its endings, and one of them in question; endings alone where they are scored against each other."""
    context, endings = row.text("ctx"), row.texts("endings")
    told = f"Context:\n{context}\n\nContinuations:\n\n{choices.listed(endings, (context,))}"
    return Question(
        group=context,
        draw=(context,),
        candidates=endings,
        right=choices.index(row, "label", len(endings)),
        write=lambda ending: f'{told}\n\nQ: Is "{ending}" the best continuation?',
        alone=lambda ending: f"{context} {ending}",
    )
