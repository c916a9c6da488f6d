"""BoolQ: is the answer to a question about a passage yes? (Clark et al. 2019)

"BoolQ: Exploring the Surprising Difficulty of Natural Yes/No Questions" (CC BY-SA 3.0); text as in openai/weak-to-strong. 9,427
training questions; the 3,270 validation questions serve as test. Unbalanced: 62% are yes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.622  # share of "yes" among the validation questions
    SOURCE: ClassVar[str] = "BoolQ (Clark et al. 2019), hub google/boolq, CC BY-SA 3.0"
    TEST_SPLIT: ClassVar[str] = "validation"
    COLUMNS: ClassVar[tuple[str, ...]] = ("question", "answer", "passage")

    kind: Literal["boolq"] = "boolq"
    hub_id: str = "google/boolq"


ROWS: tuple[dict[str, Any], ...] = (
    {"question": "is the sky blue", "answer": True, "passage": "The sky looks blue by day."},
    {"question": "is the sky green", "answer": False, "passage": "The sky looks blue by day."},
    {"question": "do fish swim", "answer": True, "passage": "Fish live in water."},
    {"question": "can stones fly", "answer": False, "passage": "Stones are heavy."},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a question; questions on one passage share a group."""
    for row in rows(config, split):
        passage = row.text("passage")
        text = f"Passage: {passage}\nQuestion: {row.text('question')}"
        yield Example((text,), row.integer("answer"), passage)
