"""Embedding keeps the layers that are read, and of the model's own work one batch at a time."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe
from w2s.stages import Embed
from w2s.work import embed
from w2s.work.hidden import Reader


def test_a_batch_at_a_time_and_no_layer_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All layers of all rows in the device's memory at once, as EleutherAI has them, would be rows x layers x width numbers."""
    probe = {
        "model": {"source": "tiny:bert", "width": 16, "depth": 4},
        "probe": {"layer": 2, "l2": 0.1},
        "max_tokens": 64,
    }
    recipe = Recipe.model_validate(toy_recipe(strong=probe))
    [stage] = [stage for stage in recipe.graph().values() if isinstance(stage, Embed)]
    made = Bench(recipe, tmp_path)
    made.prepare(stage)
    held: list[weakref.ref[torch.Tensor]] = []
    sizes: list[int] = []
    forward = Reader.forward

    def watched(self: Reader, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert [one() for one in held[:-1] if one() is not None] == [], "what earlier batches gave is gone"
        found = forward(self, ids, mask)
        assert found.shape[1:] == (1, 16)
        sizes.append(ids.numel())
        held.append(weakref.ref(found))
        return found

    monkeypatch.setattr(Reader, "forward", watched)
    monkeypatch.setattr(embed, "PREDICT_TOKENS", 512)
    metrics, _ = made.run(stage)
    assert len(sizes) > 5
    assert max(sizes) <= 512
    files: dict[str, Any] = load_file(made.out(stage) / "features.safetensors")
    assert sum(vectors.numel() for vectors in files.values()) == metrics["n"] * 16
