"""Chance comes from the recipe's seed alone: what a process drew before has no say, and another seed is another run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe
from w2s.stages import Model

CASES: dict[str, dict[str, Any]] = {
    "finetuned": {"strong__dropout": True, "strong__head": "normal"},
    "lora": {"strong__dropout": True, "strong__lora": {"rank": 4, "dropout": 0.2}},
    "probe": {
        "strong": {
            "model": {"source": "tiny:bert"}, "head": "normal", "probe": {"l2": 0.01, "optimizer": "adam", "steps": 20},
        }
    },
}  # fmt: skip


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.safetensors")}


@pytest.mark.parametrize("case", CASES)
def test_every_generator_is_seeded_by_the_recipe(case: str, tmp_path: Path) -> None:
    """Head, dropout, adapters and order are drawn from the seed; the released code seeds Python's generator, not torch's."""
    found = []
    for seed, before in ((0, 1), (0, 2), (1, 1)):
        recipe = Recipe.model_validate(toy_recipe(**CASES[case], seeds=[seed]))
        [ceiling] = [
            stage
            for stage in recipe.graph().values()
            if isinstance(stage, Model) and stage.learner == recipe.strong and stage.labels is None
        ]
        made = Bench(recipe, tmp_path / f"{seed}-{before}")
        made.prepare(ceiling)
        with torch.random.fork_rng():
            torch.manual_seed(before)
            random.seed(before)
            np.random.seed(before)
            made.run(ceiling)
        found.append(outputs(made.out(ceiling)))
    assert found[0]
    assert found[0] == found[1]
    assert found[0] != found[2]
