"""BoolQ: a missing column is told; the majority is chance."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.errors import BadInput
from w2s.tasks.boolq import Config, examples

Copy = Callable[..., str]


def test_a_missing_column_is_named_with_the_nearest_one(copy: Copy) -> None:
    rows = [{"question": "q", "answers": True, "passage": "p"}]
    with pytest.raises(BadInput, match="no column 'answer'; did you mean 'answers'") as caught:
        list(examples(Config(path=copy(train=rows)), "train"))
    assert "row 1" in caught.value.where


def test_the_majority_is_chance_unless_balanced() -> None:
    assert Config().chance == 0.622
    assert Config(balance=True).chance == 0.5
