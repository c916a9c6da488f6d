"""A training stage with adapters: stopped and resumed, sharded over a gang, and read by those who come after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cluster.errors import Interrupted
from tests.conftest import toy_recipe
from tests.w2s.work import gang
from tests.w2s.work.run_stage import Bench, weights
from w2s.learner import Learner
from w2s.recipe import Recipe
from w2s.stages import Predict, Train
from w2s.work.model import load, restore, save

ADAPTED: dict[str, Any] = {"strong__lora": {"rank": 4}, "strong__head": "normal", "strong__optim": {"lr": 1e-2}}


def student(recipe: Recipe) -> Train:
    return next(s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None)


def stop_after(steps: int):
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


def test_broken_and_resumed_is_unbroken_and_predict_reads_it(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(toy_recipe(**ADAPTED))
    bench, stage = Bench(recipe, tmp_path), student(recipe)
    bench.prepare(stage)
    bench.run(stage)
    unbroken = weights(bench.out(stage))
    adapter = (bench.out(stage) / "model" / "adapter" / "adapter_model.safetensors").read_bytes()
    with pytest.raises(Interrupted, match="stopped at step 3 of"):
        bench.run(stage, stop=stop_after(3), work="again")
    _, ledger = bench.run(stage, work="again")
    assert any(note.startswith("resumed at step 3") for note in ledger.notes)
    assert weights(bench.out(stage)) == unbroken
    assert (bench.out(stage) / "model" / "adapter" / "adapter_model.safetensors").read_bytes() == adapter
    bench.run(next(s for s in recipe.graph().values() if isinstance(s, Predict) and s.model is stage))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2"])  # the awkward one: its linear layers are transposed
def test_a_gang_trains_the_adapters_that_one_device_trains(family: str, tmp_path: Path) -> None:
    """From a folder, so that ZeRO-3 cuts the weights up while they load, before there are adapters."""
    base = tmp_path / "base"
    save(*load(Learner(model={"source": f"tiny:{family}"}, max_tokens=64), 2, 0), base, {})
    raw = toy_recipe(**ADAPTED, strong__model={"source": str(base)})
    recipe = Recipe.model_validate(raw)
    bench, stage = Bench(recipe, tmp_path / "stages"), student(recipe)
    bench.root.mkdir()
    bench.prepare(stage)
    bench.run(stage)
    cases = [
        gang.Case("zero2", {"zero": 2}),
        gang.Case("zero3", {"zero": 3}),
        gang.Case("stopped", {"zero": 3}, stop_after=3, work="kept"),
        gang.Case("resumed", {"zero": 3}, work="kept"),
    ]
    found = gang.run(bench.root, raw, stage.key, cases, ranks=2)
    files = ("model.safetensors", "head.safetensors", "adapter/adapter_model.safetensors")
    start = load_file(base / "model.safetensors")
    for name in files:
        alone = load_file(bench.out(stage) / "model" / name)
        for case in ("zero2", "zero3", "resumed"):
            together = load_file(found[case].out / "model" / name)
            assert together.keys() == alone.keys()
            for key, weight in alone.items():
                torch.testing.assert_close(together[key], weight, atol=2e-4, rtol=1e-3, msg=f"{case} {key}")
    moved = [
        key
        for key, weight in load_file(found["zero3"].out / "model" / files[0]).items()
        if not weight.equal(start[key])
    ]
    assert sorted(moved) == sorted(
        f"h.{i}.{part}.weight" for i in (0, 1) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    )
    assert any("resumed at step 3" in note for note in found["resumed"].notes)
    restore(found["zero3"].out / "model")
