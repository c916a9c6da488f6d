"""Gangs under ZeRO: weights cut up while they are loaded, prediction from shards, refusals that reach every rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import toy_recipe
from tests.w2s.work.gang import Case, Result, run
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.learner import ModelRef
from w2s.recipe import Recipe
from w2s.stages import Predict, Train
from w2s.work import tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained model as users have them: a Hugging Face folder."""
    place = tmp_path_factory.mktemp("pretrained")
    body, tokenizer = tiny.build(ModelRef(source="tiny:llama", width=32, depth=2))
    body.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Train, dict[str, Result]]:
    """A student trained alone, and by two ranks that load the same folder."""
    recipe = toy_recipe(strong__model={"source": str(folder)}, method={"kind": "naive"}, baselines=[])
    bench = Bench(Recipe.model_validate(recipe), tmp_path_factory.mktemp("runs"))
    stage = next(s for s in bench.recipe.graph().values() if isinstance(s, Train) and s.labels is not None)
    bench.prepare(stage)
    bench.run(stage)
    unreadable = {**recipe, "strong": {**recipe["strong"], "pooling": "cls"}}
    cases = [
        Case("cut", {"zero": 3}),
        Case("whole", {"zero": 2}),
        Case("auto"),
        Case("refused", {"zero": 3}, recipe=unreadable),
    ]
    return bench, stage, run(bench.root, recipe, stage.key, cases, ranks=2)


def test_no_rank_ever_holds_the_whole_model(trained: tuple[Bench, Train, dict[str, Result]]) -> None:
    for facts in trained[2]["cut"].facts:
        assert facts["held"] == 0, "parameters are empty stand-ins while nothing computes"
        assert facts["whole"] > 10_000
        assert facts["whole"] / 2 <= facts["shards"] < 0.51 * facts["whole"]
    assert trained[2]["whole"].facts[0]["held"] == trained[2]["cut"].facts[0]["whole"]


def test_auto_takes_the_lowest_stage_that_fits(trained: tuple[Bench, Train, dict[str, Result]]) -> None:
    found = trained[2]["auto"]
    assert found.errors == [None, None]
    assert any(note.startswith("ZeRO-0, 8 rows at once:") for note in found.notes), found.notes


def test_bad_input_reaches_every_rank(trained: tuple[Bench, Train, dict[str, Result]]) -> None:
    errors = trained[2]["refused"].errors
    assert [error["error"] for error in errors if error] == ["BadInput", "BadInput"]
    assert "pooling cls" in str(errors[0])


def test_a_model_cut_up_predicts_as_a_whole_one(trained: tuple[Bench, Train, dict[str, Result]]) -> None:
    bench, student, _ = trained
    stage = next(s for s in bench.recipe.graph().values() if isinstance(s, Predict) and s.model == student)
    bench.run(stage)
    alone = LabelTable.load(bench.out(stage))
    told: dict[str, Any] = bench.recipe.model_dump(mode="json")
    cases = [Case("cut", {"zero": 3}), Case("whole", {"zero": 2})]
    for name, result in run(bench.root, told, stage.key, cases, ranks=2).items():
        found = LabelTable.load(result.out)
        assert found.ids == alone.ids, name
        np.testing.assert_allclose(found.logits_NC, alone.logits_NC, rtol=1e-5, atol=1e-6)
