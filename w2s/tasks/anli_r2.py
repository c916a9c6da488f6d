"""ANLI round 2: does a premise entail a hypothesis written to fool models? (Nie et al. 2020)

"Adversarial NLI: A New Benchmark for Natural Language Understanding" (CC BY-NC 4.0); text as in EleutherAI/w2s. Neutral counts
as no, as in Burns et al. 2023. 45,460 training and 1,000 test pairs of the second round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.666  # a third of the test pairs each: entailed, neutral, contradicted
    TRAIN_SPLIT: ClassVar[str] = "train_r2"
    TEST_SPLIT: ClassVar[str] = "test_r2"
    SOURCE: ClassVar[str] = "ANLI (Nie et al. 2020), hub facebook/anli, CC BY-NC 4.0"
    COLUMNS: ClassVar[tuple[str, ...]] = ("premise", "hypothesis", "label")

    kind: Literal["anli_r2"] = "anli_r2"
    hub_id: str = "facebook/anli"


ROWS: tuple[dict[str, Any], ...] = (
    {"premise": "The bridge opened in 1931.", "hypothesis": "The bridge is older than 1950.", "label": 0},
    {"premise": "The bridge opened in 1931.", "hypothesis": "The bridge is made of wood.", "label": 1},
    {"premise": "Ann has two brothers.", "hypothesis": "Ann is an only child.", "label": 2},
    {"premise": "The shop shuts at six.", "hypothesis": "At seven the shop is shut.", "label": 0},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a pair; hypotheses on one premise share a group. Label 1: entailed (the original's 0)."""
    for row in rows(config, split):
        premise = row.text("premise")
        text = f"Premise: {premise}\nHypothesis: {row.text('hypothesis')}\n\nDoes the premise entail the hypothesis?"
        yield Example((text,), int(row.integer("label") == 0), premise)
