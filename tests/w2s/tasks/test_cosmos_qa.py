"""Cosmos QA: "none of the above" never counts as a right answer to be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import BadInput
from w2s.tasks.cosmos_qa import NONE_OF_THEM, Config, examples

Copy = Callable[..., str]


def story(context: str, question: str, label: int, none: int = 3) -> dict[str, Any]:
    answers = {f"answer{i}": NONE_OF_THEM if i == none else f"{question} answer {i}" for i in range(4)}
    return {"id": "x", "context": context, "question": question, **answers, "label": label}


def test_none_of_the_above_as_truth_forces_a_wrong_answer(copy: Copy) -> None:
    rows = [story(f"context {i}", "q", 3) for i in range(200)]
    found = list(examples(Config(path=copy(train=rows)), "train"))
    assert {row.label for row in found} == {0}
    assert not any(NONE_OF_THEM in row.texts[0] for row in found)
    assert not list(examples(Config(path=copy(train=rows), form="all"), "train"))


def test_questions_on_one_context_are_drawn_apart(copy: Copy) -> None:
    rows = [story("one context", f"question {i} ?", i % 3) for i in range(400)]
    found = list(examples(Config(path=copy(train=rows)), "train"))
    assert 0.4 < sum(row.label for row in found) / len(found) < 0.6
    for row, raw in zip(found, rows, strict=True):
        assert row.texts[0].endswith(raw[f"answer{raw['label']}"]) == (row.label == 1)


def test_rows_without_answers_are_refused(copy: Copy) -> None:
    with pytest.raises(BadInput, match="label -1"):
        list(examples(Config(path=copy(train=[story("c", "q", -1)])), "train"))
