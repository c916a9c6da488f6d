"""SST-2: is a phrase from a film review positive? (Socher et al. 2013)

"Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank"; the sentence alone, as in EleutherAI/w2s. 67,349
training phrases; the 872 validation sentences serve as test (the test split has no labels).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.509  # share of positive ones among the validation sentences
    TEST_SPLIT: ClassVar[str] = "validation"
    SOURCE: ClassVar[str] = "SST-2 (Socher et al. 2013), hub stanfordnlp/sst2, research use"
    COLUMNS: ClassVar[tuple[str, ...]] = ("sentence", "label")

    kind: Literal["sst2"] = "sst2"
    hub_id: str = "stanfordnlp/sst2"


ROWS: tuple[dict[str, Any], ...] = (
    {"idx": 0, "sentence": "a warm and witty film ", "label": 1},
    {"idx": 1, "sentence": "dull from start to end ", "label": 0},
    {"idx": 2, "sentence": "never boring ", "label": 1},
    {"idx": 3, "sentence": "a waste of good actors ", "label": 0},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a phrase, its own group. Label 1: positive."""
    for row in rows(config, split):
        sentence = row.text("sentence")
        yield Example((sentence,), row.integer("label"), sentence)
