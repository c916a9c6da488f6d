"""CoLA: is a sentence acceptable English? (Warstadt et al. 2019)

"Neural Network Acceptability Judgments"; the sentence alone, as in EleutherAI/w2s. 8,551 training sentences; the 1,043
validation sentences serve as test (the test split has no labels). Unbalanced: 69% are acceptable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.691  # share of acceptable sentences among the validation ones
    TEST_SPLIT: ClassVar[str] = "validation"
    SUBSET: ClassVar[str | None] = "cola"
    SOURCE: ClassVar[str] = "CoLA (Warstadt et al. 2019), hub nyu-mll/glue (cola), research use"
    COLUMNS: ClassVar[tuple[str, ...]] = ("sentence", "label")

    kind: Literal["cola"] = "cola"
    hub_id: str = "nyu-mll/glue"


ROWS: tuple[dict[str, Any], ...] = (
    {"sentence": "The cat sat by the door.", "label": 1, "idx": 0},
    {"sentence": "The cat sat the door by.", "label": 0, "idx": 1},
    {"sentence": "Who did you think left?", "label": 1, "idx": 2},
    {"sentence": "Who did you think that left?", "label": 0, "idx": 3},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a sentence, its own group. Label 1: acceptable."""
    for row in rows(config, split):
        sentence = row.text("sentence")
        yield Example((sentence,), row.integer("label"), sentence)
