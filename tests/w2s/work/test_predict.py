"""Prediction asks the model that was trained: read back from where it is stored, it says what it said to its trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.learner import ModelRef
from w2s.recipe import Recipe
from w2s.stages import Model, Part, Predict
from w2s.work import table, tiny

SURE = 0.65  # a zero head takes the first of every pair, right for one in two; a few epochs do better by far


def pretrained(folder: Path) -> dict[str, Any]:
    """A GPT-2 in a folder, as it comes from the hub."""
    body, tokenizer = tiny.build(ModelRef(source="tiny:gpt2", width=32, depth=2))
    body.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"source": str(folder)}


CASES: dict[str, dict[str, Any]] = {
    "bert": {},
    "gpt2 of a folder in bf16": {"strong__precision": "bf16"},
    "lora": {"strong__model": {"source": "tiny:llama", "width": 32}, "strong__lora": {"rank": 4}},
    "best step": {"strong__evaluate": 3, "strong__select": "best"},
    "probe": {
        "strong": {"model": {"source": "tiny:bert"}, "probe": {"l2": 0.01, "optimizer": "adam"}, "evaluate": "epoch"}
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_stored_ceiling_answers_as_the_model_that_was_trained(case: str, tmp_path: Path) -> None:
    """A finished model that is read again must have its trained weights.

    The released code puts a stored ceiling's weights where nobody looks, and grades the pretrained model under a zero head.
    """
    changes = CASES[case]
    if "folder" in case:
        changes = {**changes, "strong__model": pretrained(tmp_path / "gpt2")}
    task = {"kind": "toy", "size": 400, "hard": 0, "n_test": 60, "pairs": True}
    rates = {} if "probe" in case else {"strong__epochs": 6}
    recipe = Recipe.model_validate(toy_recipe(task=task, **rates, **changes))
    [ceiling] = [
        stage
        for stage in recipe.graph().values()
        if isinstance(stage, Model) and stage.learner == recipe.strong and stage.labels is None
    ]
    assert isinstance(ceiling.val, Part)
    asked = Predict(ceiling, ceiling.val)
    made = Bench(recipe, tmp_path / "stages")
    made.prepare(ceiling)
    metrics, _ = made.run(ceiling)
    made.run(asked)
    rows = table.read(made.out(ceiling.val.rows), ceiling.val.json(by_content=False), "here")
    told = LabelTable.load(made.out(asked)).join(rows.ids, "here")
    right = told.probs_NC.argmax(axis=1) == np.array(rows.labels)
    assert right.mean() == pytest.approx(metrics["val_accuracy"], abs=1e-6)
    assert right.mean() > SURE
    curve = json.loads((made.out(ceiling) / "curve.json").read_text())
    point = next(point for point in curve if point["step"] == metrics["selected_step"])
    if "loss" in point:
        own = -np.log(told.probs_NC[np.arange(len(rows)), rows.labels]).mean()
        assert own == pytest.approx(point["loss"], rel=1e-4)
