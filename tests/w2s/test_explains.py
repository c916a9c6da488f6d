"""Who can be taught by rationales: what task, model or machine cannot bring is said when a recipe is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.command import w2s, write_recipe
from w2s.recipe import Recipe

DECOY = {"kind": "decoy", "of": "toy"}
STATIC = {
    "source": "static:pip:x==1/y.safetensors",
    "sha256": "0" * 64,
    "tokenizer": "pip:x==1/t.json",
    "tokenizer_sha256": "0" * 64,
}
BERT = {"source": "some/bert", "revision": "0" * 40}


def check(method: dict[str, Any], **changes: Any) -> None:
    recipe = toy_recipe(task=DECOY, method={"kind": "explained", **method}, baselines=[], **changes)
    Recipe.model_validate(recipe).check()


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"task": {"kind": "toy"}}, "learns from highlights, and task toy has none"),
    ({"by": "ibp"}, {}, "bounds blow up through the attention of tiny-bert"),
    ({"replace": "mask"}, {}, "tiny-bert-32x2 has no mask token"),
    ({"by": "pgd"}, {"strong__precision": "fp16"}, "fp16 cannot hold"),
    ({"by": "gradreg"}, {"machines": {"strong": {"zero": 2}}}, "a gradient's gradient is not DeepSpeed's"),
    ({"by": "pgd", "gradient": 1.0}, {"machines": {"strong": {"devices": 2}}}, "not a gang"),
    ({"by": "ibp"}, {"strong__model": STATIC, "machines": {"strong": {"zero": 1}}}, "ibp reads the head as it is"),
    ({"by": "pgd"}, {"machines": {"strong": {"compile": True}}}, "a compiled model would not see"),
    ({"by": "gradreg"}, {"machines": {"strong": {"gradient_checkpointing": True}}}, "gradient_checkpointing throws away"),
    ({"by": "ibp", "rationale": "random"}, {"strong__model": STATIC}, "this control is the same student"),
    ({}, {"strong__probe": {}}, "in which no token can be changed"),
]  # fmt: skip


@pytest.mark.parametrize("method,changes,line", REFUSED, ids=[line[:30] for *_, line in REFUSED])
def test_it_is_refused_in_one_line_with_a_remedy(method: dict[str, Any], changes: dict[str, Any], line: str) -> None:
    own = {"strong__batch": 16, **changes}
    recipe = toy_recipe(**{"task": DECOY, "method": {"kind": "explained", **method}, "baselines": [], **own})
    if "strong__probe" in changes:
        for name in ("epochs", "batch"):
            recipe["strong"].pop(name)
    with pytest.raises(BadInput) as caught:
        Recipe.model_validate(recipe).check()
    assert line in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_all_else_is_legal() -> None:
    for by in ("corm", "pgd"):
        check({"by": by}, machines={"strong": {"devices": 2, "zero": 2}})
    check({"by": "gradreg"})
    check({"by": "pgd", "gradient": 0.1, "rationale": "random", "reliability": "confidence"})
    check({"by": "ibp", "gradient": 0.1}, strong__model=STATIC)
    check({"replace": "mask"}, strong__model=BERT)
    check({}, strong__precision="fp16")
    check({"rationale": "random"}, strong__model=STATIC)


def test_the_command_line_says_it(tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, method={"kind": "explained"}))
    assert done.code == 2
    assert len(done.err.strip().splitlines()) <= 2
    assert "take one that has: esnli, or a decoy of this one" in " ".join(done.err.split())
    done = w2s("check", write_recipe(tmp_path, method={"kind": "explained", "by": "corm", "eps": 0.2}))
    assert "by: corm has no use for eps; it knows beta, prob, replace" in " ".join(done.err.split())
