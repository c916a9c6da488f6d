"""Gangs on GPUs, over NCCL: the same result as one GPU without DeepSpeed, at every ZeRO stage. One rank, and as many as there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.invariant.comparison import EACH, WHOLE, distance, recipe, student, weights
from tests.w2s.work.gang import Case, run
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

BF16 = 1e-2  # one rank and one device round alike in bf16; what remains is the order of additions
GPUS = torch.cuda.device_count()


@pytest.mark.parametrize("ranks", [pytest.param(n, id=f"{n} ranks") for n in (1, 2) if n <= max(1, GPUS)])
@pytest.mark.parametrize("method", ["naive", "confidence"])
def test_no_gang_changes_the_result(method: str, ranks: int, tmp_path: Path) -> None:
    told = recipe(tmp_path, method)
    bench = Bench(Recipe.model_validate(told), tmp_path)
    stage = student(bench.recipe)
    bench.prepare(stage)
    bench.run(stage, device="cuda")
    alone = weights(bench.out(stage))
    cases = [
        *(Case(f"zero{zero}", {"zero": zero, "micro_batch": 4}) for zero in (0, 1, 2, 3)),
        Case("zero2-cpu", {"zero": 2, "micro_batch": 4, "offload": "cpu"}),
        Case("zero3-cpu", {"zero": 3, "micro_batch": 4, "offload": "cpu"}),
    ]
    found = {}
    for name, result in run(tmp_path, told, stage.key, cases, ranks, "cuda").items():
        assert result.errors == [None] * ranks, name
        found[name] = distance(weights(result.out), alone)
    assert max(whole for whole, _ in found.values()) < WHOLE, found
    assert max(each for _, each in found.values()) < EACH, found


def test_in_bf16_too(tmp_path: Path) -> None:
    told = recipe(tmp_path, "confidence", strong__precision="bf16")
    bench = Bench(Recipe.model_validate(told), tmp_path)
    stage = student(bench.recipe)
    bench.prepare(stage)
    bench.run(stage, device="cuda")
    cases = [Case(f"zero{zero}", {"zero": zero}) for zero in (1, 3)]
    for name, result in run(tmp_path, told, stage.key, cases, 1, "cuda").items():
        assert result.errors == [None], name
        assert distance(weights(result.out), weights(bench.out(stage)))[0] < BF16, name


def test_broken_and_mended_is_unbroken(tmp_path: Path) -> None:
    """Not asked to the bit: some of CUDA's kernels add in no fixed order."""
    told = recipe(tmp_path, "confidence")
    bench = Bench(Recipe.model_validate(told), tmp_path)
    stage = student(bench.recipe)
    bench.prepare(stage)
    whole, broken = {"zero": 3, "micro_batch": 4}, "broken"
    cases = [
        Case("unbroken", whole),
        Case("break", whole, stop_after=5, work=broken),
        Case("mend", whole, work=broken),
    ]
    found = run(tmp_path, told, stage.key, cases, 1, "cuda")
    assert any(note.startswith("resumed at step 5") for note in found["mend"].notes)
    assert distance(weights(found["mend"].out), weights(found["unbroken"].out))[0] < WHOLE
