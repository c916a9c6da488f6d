"""An explained student trains like any other: cut, broken and resumed alike; its receipt tells what its loss was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from cluster.errors import BadInput, Interrupted
from tests.conftest import toy_recipe
from tests.w2s.work.gang import stop_after
from tests.w2s.work.run_stage import Bench, weights
from w2s.recipe import Recipe
from w2s.stages import Train

DECOY = {"kind": "decoy", "of": {"kind": "toy", "size": 80}, "words": ["x", "z"]}


def bench(tmp_path: Path, **method: Any) -> tuple[Bench, Train]:
    recipe = Recipe.model_validate(
        toy_recipe(task=DECOY, method={"kind": "explained", **method}, baselines=[], strong__evaluate=2)
    )
    made = Bench(recipe, tmp_path)
    stage = next(s for s in recipe.graph().values() if isinstance(s, Train) and s.explain is not None)
    made.prepare(stage)
    return made, stage


@pytest.mark.parametrize("method", [
    {"by": "corm", "prob": 0.5}, {"by": "pgd", "eps": 1.0, "steps": 2, "gradient": 0.1},
], ids=["corm", "pgd-gradreg"])  # fmt: skip
def test_broken_and_resumed_is_unbroken_and_cuts_change_nothing(tmp_path: Path, method: dict[str, Any]) -> None:
    made, stage = bench(tmp_path, **method)
    metrics, ledger = made.run(stage, machines={"micro_batch": 4})
    unbroken = weights(made.out(stage))
    file = made.out(stage) / "model" / "model.safetensors"
    reference = load_file(file)
    assert metrics["explained"] == metrics["kept"] > 20
    assert metrics["clean_loss"] > 0
    assert metrics["perturbed_loss"] > 0
    assert metrics["loss"] == pytest.approx(
        metrics["clean_loss"] + metrics["perturbed_loss"] + 0.1 * metrics.get("slope", 0), rel=1e-5
    )
    assert any("rows have irrelevant tokens" in note for note in ledger.notes)
    assert {name for name, _, _ in ledger.scalars} >= {"train/clean_loss", "train/perturbed_loss"}
    with pytest.raises(Interrupted):
        made.run(stage, stop=stop_after(2), work="again", machines={"micro_batch": 4})
    resumed, _ = made.run(stage, work="again", machines={"micro_batch": 4})
    assert weights(made.out(stage)) == unbroken
    assert {**metrics, "tokens_per_s": 0} == {**resumed, "tokens_per_s": 0}
    made.run(stage, machines={"micro_batch": 1}, work="cut")
    for name, tensor in load_file(file).items():
        np.testing.assert_allclose(tensor.numpy(), reference[name].numpy(), atol=2e-4, err_msg=name)


def test_a_task_that_brings_no_highlight_after_all_is_refused(tmp_path: Path) -> None:
    """Else the student would be a naive one under another name."""
    made, stage = bench(tmp_path, most=0.01)
    with pytest.raises(BadInput, match="no row has a highlight that leaves some of its tokens out"):
        made.run(stage)
