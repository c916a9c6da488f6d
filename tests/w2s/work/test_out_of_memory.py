"""Memory that runs out in a training step: said as what to change, and changed, the same key goes on.

Real refusals: the kernel allows a child process no more address space than it has when its first step begins, and a little.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cluster.errors import StageFailed
from cluster.job import Context
from tests.conftest import toy_recipe
from tests.w2s.work.gang import Case, Result, run, run_until_failure
from tests.w2s.work.run_stage import Bench, Ledger
from w2s.recipe import Recipe
from w2s.stages import Train
from w2s.work.out_of_memory import is_out_of_memory, remedy, told

BATCH = 24
SPARE_MB = 48  # the whole batch's activations take three times as much and more, those of two rows a tenth
LIMIT: dict[str, Any] = {"mishap": "tests.w2s.work.mishaps:little_memory", "how": {"spare_mb": SPARE_MB}}


def context(tmp_path: Path, ranks: int = 1, **machines: Any) -> Context:
    return Context("key", "toy/train", {}, machines, {}, tmp_path, tmp_path, Ledger(), ranks=ranks)


def refused(size: int) -> Callable[[], object]:
    """An allocation that torch's own allocator refuses."""
    return lambda: torch.empty(size)


@pytest.mark.parametrize("act", [refused(2**46), lambda: bytearray(2**62), lambda: torch.zeros(2**46).double()])
def test_what_the_host_refuses_is_heard(tmp_path: Path, act: Callable[[], object]) -> None:
    asked = context(tmp_path, micro_batch=12)
    with (
        pytest.raises(
            StageFailed, match=r"a micro-batch of 12 rows ran out of memory \(the machine has .* GB"
        ) as caught,
        told(asked, BATCH, 12),
    ):
        act()
    assert (
        caught.value.remedy == "set micro_batch: 6 (it was 12): the same command then goes on from the last checkpoint"
    )


def test_what_a_gpu_says_is_heard_and_other_errors_are_left_alone(tmp_path: Path) -> None:
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
        MemoryError("std::bad_alloc"),
    ):
        assert is_out_of_memory(error)
    with pytest.raises(RuntimeError, match="size mismatch"), told(context(tmp_path), BATCH, 12):
        raise RuntimeError("size mismatch")


@pytest.mark.parametrize("rows,ranks,machines,says", [
    (24, 1, {"micro_batch": "auto"}, "set micro_batch: 12 (it was auto, 24 rows)"),
    (15, 1, {"micro_batch": 15}, "set micro_batch: 5 (it was 15)"),
    (3, 1, {"micro_batch": 3}, "set micro_batch: 1 (it was 3)"),
    (1, 1, {"micro_batch": 1}, "set gradient_checkpointing: true"),
    (1, 2, {"micro_batch": 1, "zero": 2}, "set zero: 3 (it was 2)"),
    (1, 2, {"micro_batch": 1, "zero": 3}, "set gradient_checkpointing: true"),
    (1, 2, {"micro_batch": 1, "zero": 3, "gradient_checkpointing": True}, "set devices to more"),
])  # fmt: skip
def test_the_next_smaller_thing_is_legal(
    tmp_path: Path, rows: int, ranks: int, machines: dict[str, Any], says: str
) -> None:
    batch = 15 if rows == 15 else BATCH * ranks
    assert remedy(context(tmp_path, ranks, **machines), batch, rows).startswith(says)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Bench, Train]:
    """A student of texts so long that its activations are what takes memory."""
    folder = tmp_path_factory.mktemp("memory")
    words = ["a plain sentence that goes on", "another one that does not end"]
    rows = [{"text": f"{i:03d} " + f"{words[i % 2]}, " * 16, "label": i % 2} for i in range(200)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {"kind": "file", "path": str(folder / "rows.jsonl"), "n_test": 8, "text": "text", "label": "label"}
    model = {"source": "tiny:bert", "width": 96, "depth": 2}
    recipe = toy_recipe(
        task=task, strong__model=model, strong__batch=BATCH, strong__max_tokens=512, strong__evaluate="never",
        method={"kind": "naive"}, baselines=[],
    )  # fmt: skip
    made = Bench(Recipe.model_validate(recipe), folder)
    stage = next(s for s in made.recipe.graph().values() if isinstance(s, Train) and s.labels is not None)
    made.prepare(stage)
    return recipe, made, stage


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("ranks,zero", [(1, 0), pytest.param(2, 3, marks=pytest.mark.soak)], ids=["solo", "gang"])
def test_lowering_the_micro_batch_goes_on(
    bench: tuple[dict[str, Any], Bench, Train], ranks: int, zero: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rank that finds no memory is enough: the others wait for it, and are ended."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # glibc gives back what a tensor took, address and all
    recipe, made, stage = bench
    share = BATCH // ranks
    begins = Case("begins", {"zero": zero, "micro_batch": share}, stop_after=2, work="work")
    too_much = Case("too-much", {"zero": zero, "micro_batch": share}, work="work", **LIMIT)
    failure = run_until_failure(made.root, recipe, stage.key, [begins, too_much], ranks)
    assert failure.errors
    for error in failure.errors.values():
        assert error is not None
        assert error["error"] == "StageFailed"
        assert error["what"].startswith(f"a micro-batch of {share} rows ran out of memory (the machine has ")
        assert "memory" in error["what"].partition("): ")[2]
        assert error["remedy"].startswith(f"set micro_batch: {share // 2} (it was {share})")
    fewer = Case("fewer", {"zero": zero, "micro_batch": 1}, work=str(failure.work.parent), **LIMIT)
    ended: Result = run(made.root, recipe, stage.key, [fewer], ranks)["fewer"]
    assert ended.errors == [None] * ranks
    assert any(note.startswith("resumed at step 2 of ") for note in ended.notes)
