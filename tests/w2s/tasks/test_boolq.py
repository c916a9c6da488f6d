"""BoolQ rows: golden texts and labels from the original columns; the validation split serves as test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.errors import BadInput
from w2s.tasks.boolq import Config, examples

Copy = Callable[..., str]

ROWS = [
    {"question": "is the sky blue", "answer": True, "passage": "The sky looks blue by day."},
    {"question": "is the sky green", "answer": False, "passage": "The sky looks blue by day."},
    {"question": "do fish swim", "answer": True, "passage": "Fish live in water."},
    {"question": "can stones fly", "answer": False, "passage": "Stones are heavy."},
]
GOLDEN = [
    ("Passage: The sky looks blue by day.\nQuestion: is the sky blue", 1, "The sky looks blue by day."),
    ("Passage: The sky looks blue by day.\nQuestion: is the sky green", 0, "The sky looks blue by day."),
    ("Passage: Fish live in water.\nQuestion: do fish swim", 1, "Fish live in water."),
    ("Passage: Stones are heavy.\nQuestion: can stones fly", 0, "Stones are heavy."),
]


def test_four_rows_become_the_golden_texts_and_labels(copy: Copy) -> None:
    found = list(examples(Config(path=copy(train=ROWS[:1], validation=ROWS)), "test"))
    assert [(row.texts[0], row.label, row.group) for row in found] == GOLDEN


def test_a_missing_column_is_named_with_the_nearest_one(copy: Copy) -> None:
    rows = [{"question": "q", "answers": True, "passage": "p"}]
    with pytest.raises(BadInput, match="no column 'answer'; did you mean 'answers'") as caught:
        list(examples(Config(path=copy(train=rows)), "train"))
    assert "row 1" in caught.value.where


def test_the_majority_is_chance_unless_balanced() -> None:
    assert Config().chance == 0.622
    assert Config(balance=True).chance == 0.5
