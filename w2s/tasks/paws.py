"""PAWS: do two sentences of the same words mean the same? (Zhang et al. 2019)

"PAWS: Paraphrase Adversaries from Word Scrambling"; the labelled final part, text as in EleutherAI/w2s. 49,401 training and
8,000 test pairs; 56% are no paraphrases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    CHANCE: ClassVar[float] = 0.558  # share of pairs that are no paraphrases among the test ones
    SUBSET: ClassVar[str | None] = "labeled_final"
    SOURCE: ClassVar[str] = "PAWS (Zhang et al. 2019), hub google-research-datasets/paws (labeled_final), free to use"
    COLUMNS: ClassVar[tuple[str, ...]] = ("sentence1", "sentence2", "label")

    kind: Literal["paws"] = "paws"
    hub_id: str = "google-research-datasets/paws"


ROWS: tuple[dict[str, Any], ...] = (
    {"id": 1, "sentence1": "In Rome Ann met Bob .", "sentence2": "Ann met Bob in Rome .", "label": 1},
    {"id": 2, "sentence1": "In Rome Bob met Ann .", "sentence2": "In Ann Bob met Rome .", "label": 0},
    {"id": 3, "sentence1": "The red car hit the blue van .", "sentence2": "The blue car hit the red van .", "label": 0},
    {"id": 4, "sentence1": "He sold it in 1990 .", "sentence2": "In 1990 he sold it .", "label": 1},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a pair. Label 1: paraphrases. Pairs whose first sentences have the same words share a group."""
    for row in rows(config, split):
        first, second = row.text("sentence1"), row.text("sentence2")
        text = f"Sent 1: {first}\nSent 2: {second}\n\nQ: Are these sentences semantically equivalent?"
        # the data were made by swapping words: one source sentence comes back in several orders
        yield Example((text,), row.integer("label"), " ".join(sorted(first.lower().split())))
