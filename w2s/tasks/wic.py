"""WiC: does a word mean the same in two sentences? (Pilehvar, Camacho-Collados 2019)

"WiC: the Word-in-Context Dataset for Evaluating Context-Sensitive Meaning Representations" (CC BY-NC 4.0); text as in
EleutherAI/w2s. 5,428 training pairs; the 638 validation pairs serve as test (the test split has no labels). Balanced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from w2s.examples import Example
from w2s.hub import CONVERTED, HubTaskConfig, rows
from w2s.task import Split


class Config(HubTaskConfig):
    TEST_SPLIT: ClassVar[str] = "validation"
    FOLDER: ClassVar[str | None] = "wic"
    SOURCE: ClassVar[str] = "WiC (Pilehvar & Camacho-Collados 2019), hub aps/super_glue (wic), CC BY-NC 4.0"
    COLUMNS: ClassVar[tuple[str, ...]] = ("word", "sentence1", "sentence2", "label")

    kind: Literal["wic"] = "wic"
    hub_id: str = "aps/super_glue"
    revision: str = CONVERTED  # main held a loading script for years; this branch names parts by folder


ROWS: tuple[dict[str, Any], ...] = (
    {"word": "bank", "sentence1": "The bank lent it.", "sentence2": "A river bank.", "label": 0},
    {"word": "bank", "sentence1": "The bank lent it.", "sentence2": "Her bank is shut.", "label": 1},
    {"word": "run", "sentence1": "We run a shop.", "sentence2": "They run the inn.", "label": 1},
    {"word": "light", "sentence1": "A light bag.", "sentence2": "Light the lamp.", "label": 0},
)


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row a pair; pairs on one word share a group, for they share sentences. Label 1: the same meaning."""
    for row in rows(config, split):
        word = row.text("word")
        pair = f"Sentence 1:\n{row.text('sentence1')}\n\nSentence 2:\n{row.text('sentence2')}"
        text = f'{pair}\n\nQ: Does "{word}" have the same meaning in the above sentences?'
        yield Example((text,), row.integer("label"), word)
