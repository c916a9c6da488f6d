"""MultiRC: is this one of the right answers to a question about a paragraph? (Khashabi et al. 2018)

"Looking Beyond the Surface: A Challenge Set for Reading Comprehension over Multiple Sentences"; text as in EleutherAI/w2s. A
question may have several right answers. 27,243 training answers; the 4,848 validation answers serve as test (the test split
has no labels). 57% are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import CONVERTED, HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.572  # share of wrong answers among the validation ones
    TEST_SPLIT: ClassVar[str] = "validation"
    FOLDER: ClassVar[str | None] = "multirc"
    SOURCE: ClassVar[str] = "MultiRC (Khashabi et al. 2018), hub aps/super_glue (multirc), research use"
    COLUMNS: ClassVar[tuple[str, ...]] = ("paragraph", "question", "answer", "label")

    kind: Literal["multirc"] = "multirc"
    hub_id: str = "aps/super_glue"
    revision: str = CONVERTED  # main held a loading script for years; this branch names parts by folder


ROWS: tuple[dict[str, Any], ...] = (
    {"paragraph": "Ben and Ida rowed to the isle.", "question": "Who rowed?", "answer": "Ida", "label": 1},
    {"paragraph": "Ben and Ida rowed to the isle.", "question": "Who rowed?", "answer": "Tom", "label": 0},
    {"paragraph": "Ben and Ida rowed to the isle.", "question": "Where to?", "answer": "An isle", "label": 1},
    {"paragraph": "The mill burned in May.", "question": "What burned?", "answer": "The inn", "label": 0},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row an answer; all questions on one paragraph share a group. Label 1: right."""
    for row in rows(config, split):
        paragraph = row.text("paragraph")
        text = f'Passage:\n\n{paragraph}\n\nQ: "{row.text("question")}" Is the answer "{row.text("answer")}"?'
        yield Example((text,), row.integer("label"), paragraph)
