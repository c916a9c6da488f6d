"""A method's choices that cannot be meant: one line that says where and what, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.w2s.command import w2s, write_recipe

BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "bootstrap", "chain": []}, "method.chain: has no rung: name at least one student, [strong]"),
    ({"kind": "bootstrap", "chain": [{"epochs": 1}, "strong"]}, "method.chain.0: names no model: write weak, strong, or model: ..."),
    ({"kind": "bootstrap", "chain": ["strong", "weak"]}, "method.chain: ends below the strong model"),
    ({"kind": "bootstrap", "chain": ["given:x", "strong"]}, "method.chain.0: given:x are labels, which cannot learn"),
    ({"kind": "bootstrap", "chain": [{"model": "gpt2", "epoch": 1}, "strong"]}, "chain.0.epoch: no such field; did you mean 'epochs'?"),
    ({"kind": "bootstrap", "data": "new"}, "method.data: input should be 'same' or 'fresh', found 'new'"),
    ({"kind": "s2s", "iterations": -1}, "method.iterations: input should be greater than or equal to 0"),
    ({"kind": "filter", "keep": 0}, "method.keep: input should be greater than 0"),
    ({"kind": "filter", "keep": 1.2}, "method.keep: input should be less than or equal to 1"),
    ({"kind": "filter", "by": "threshold", "threshold": 1.0}, "method.threshold: input should be less than 1"),
    ({"kind": "filter", "by": "threshold", "keep": 0.5}, "method: by: threshold has no use for keep; it knows threshold"),
    ({"kind": "filter", "by": "confidence", "neighbours": 5}, "method: by: confidence has no use for neighbours; it knows keep"),
    ({"kind": "relabel", "by": "knn", "l2": 0.5}, "method: by: knn has no use for l2"),
    ({"kind": "random_labels", "structure": "odd"}, "method.structure: input should be 'random', 'longest'"),
    ({"kind": "early_stop", "every": 0}, "method.every: input should be"),
    ({"kind": "ceiling", "members": 3}, "method: nobody supervises a ceiling: members: 3 means nothing here"),
]  # fmt: skip


@pytest.mark.parametrize("method,line", BAD, ids=[str(method) for method, _ in BAD])
def test_it_is_said_in_one_line(method: dict[str, Any], line: str, tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, method=method))
    assert done.code == 2
    told = done.err.strip().splitlines()
    assert len(told) == 1, done.err
    assert line in told[0]
