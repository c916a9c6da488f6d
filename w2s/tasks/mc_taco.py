"""MC-TACO: is this a plausible answer to a question about time? (Zhou et al. 2019)

"Going on a vacation takes longer than Going for a walk: A Study of Temporal Commonsense Understanding"; text as in
EleutherAI/w2s. There is no training split: the 9,442 rows of the test split serve as train and the 3,783 of the validation
split as test, as there. Unbalanced: about a third are plausible.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import CONVERTED, HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.66  # about two thirds of the answers are implausible
    TRAIN_SPLIT: ClassVar[str] = "test"
    TEST_SPLIT: ClassVar[str] = "validation"
    SOURCE: ClassVar[str] = "MC-TACO (Zhou et al. 2019), hub CogComp/mc_taco, research use"
    COLUMNS: ClassVar[tuple[str, ...]] = ("sentence", "question", "answer", "label")

    kind: Literal["mc_taco"] = "mc_taco"
    hub_id: str = "CogComp/mc_taco"
    revision: str = CONVERTED  # main holds a loading script, which `datasets` 4 no longer runs


ROWS: tuple[dict[str, Any], ...] = (
    {"sentence": "He boiled an egg.", "question": "How long did it take?", "answer": "six minutes", "label": 1},
    {"sentence": "He boiled an egg.", "question": "How long did it take?", "answer": "six weeks", "label": 0},
    {"sentence": "She votes.", "question": "How often does she vote?", "answer": "every few years", "label": 1},
    {"sentence": "She votes.", "question": "How often does she vote?", "answer": "every second", "label": 0},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row an answer; all questions on one sentence share a group. Label 1: plausible."""
    for row in rows(config, split):
        sentence = row.text("sentence")
        text = f"{sentence}\n\nGiven the above, {row.text('question')} Is the answer {row.text('answer')}?"
        yield Example((text,), row.integer("label"), sentence)
