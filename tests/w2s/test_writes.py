"""A model that predicts no next word is refused by `w2s check`, before anything is fetched or started, where its config tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.models.auto import configuration_auto, modeling_auto

from cluster.errors import BadInput
from tests.w2s.command import built, w2s, write_recipe
from w2s import assets, writes
from w2s.commands import fetch
from w2s.learner import ModelRef
from w2s.work import body

METHODS = ({"kind": "generative"}, {"kind": "prompted"})
EACH = pytest.mark.parametrize("method", METHODS, ids=[method["kind"] for method in METHODS])


def model(folder: Path, **config: Any) -> str:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def refused(folder: Path, method: dict[str, str], **changes: Any) -> str:
    """The one line that `w2s check` says; "" where it says yes."""
    done = w2s("check", write_recipe(folder, method=method, baselines=[], **changes))
    assert done.code in (0, 2), done.err
    assert done.err.count("\n") == (1 if done.code else 0)
    return done.err


@EACH
def test_a_local_encoder_is_refused_with_where_what_and_a_remedy(tmp_path: Path, method: dict[str, str]) -> None:
    said = refused(tmp_path, method, strong__model=model(tmp_path / "mine", model_type="bert"))
    assert "toy.yaml: strong.model: mine (bert) predicts no next word" in said
    assert "take a causal language model" in said


@EACH
def test_a_tiny_encoder_is_refused_as_well(tmp_path: Path, method: dict[str, str]) -> None:
    assert "tiny-bert-32x2 (bert) predicts no next word" in refused(tmp_path, method)


def test_an_encoder_in_a_package_is_refused_once_it_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"source": "pip:some-model==1.0/model", "sha256": "0" * 64}
    found = {"there": False}
    place = Path(model(tmp_path / "model", model_type="roberta"))
    monkeypatch.setattr(assets, "cached", lambda reference, **_: place if found["there"] else None)
    assert refused(tmp_path, {"kind": "prompted"}, strong__model=source) == "", "nothing is known of it yet"
    found["there"] = True
    assert "some-model (roberta) predicts no next word" in refused(tmp_path, {"kind": "prompted"}, strong__model=source)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "bert"}, "bert"),
        ({"model_type": "bert", "is_decoder": True}, None),
        ({"model_type": "gpt2"}, None),
        ({"model_type": "t5", "is_encoder_decoder": True}, "t5, an encoder-decoder"),
        ({"model_type": "of tomorrow"}, None),
        ({}, None),
    ],
)
def test_what_a_config_says(tmp_path: Path, config: dict[str, Any], kind: str | None) -> None:
    assert writes.reads_both_ways(ModelRef(source=model(tmp_path / "mine", **config))) == kind


@pytest.mark.parametrize("raw", ["", "[]", "{"])
def test_a_damaged_config_is_left_to_the_loader(tmp_path: Path, raw: str) -> None:
    place = Path(model(tmp_path / "mine"))
    (place / "config.json").write_text(raw)
    assert writes.reads_both_ways(ModelRef(source=str(place))) is None


def test_the_list_is_that_of_transformers_and_says_what_the_stage_would() -> None:
    """Whatever is refused here would be refused when it is loaded; whatever is a masked language model is on the list."""
    assert frozenset(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES) == writes.FILL_IN_BLANKS
    for kind in sorted(writes.FILL_IN_BLANKS & set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)):
        config = configuration_auto.AutoConfig.for_model(kind)
        if not getattr(config, "is_decoder", False):
            with pytest.raises(BadInput, match="predicts no next word"):
                body.check_writes(config, "here")


def test_what_arrives_with_the_fetching_is_refused_before_any_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not here when the recipe is read, an encoder once it is: the run ends with exit code 2, and nothing was begun."""
    place = tmp_path / "hub"

    def arrive(reference: ModelRef) -> list[object]:
        return [place if place.is_dir() else model(place, model_type="bert")]

    monkeypatch.setattr(fetch, "_place", arrive)
    monkeypatch.setattr(writes, "config_place", lambda reference: place if place.is_dir() else None)
    recipe = write_recipe(tmp_path, strong__model="nobody/encoder", method={"kind": "prompted"}, baselines=[])
    assert w2s("check", recipe).code == 0
    done = w2s("run", recipe, "--store", tmp_path / "store", "--pool", "inline")
    assert done.code == 2, done.err
    assert "encoder (bert) predicts no next word" in done.err
    assert built(tmp_path / "store") == []


def test_a_model_that_is_only_asked_is_fetched_first_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ceiling is in the store already, so of the models' stages only the prompted one is left."""
    asked: list[str] = []
    monkeypatch.setattr(fetch, "_place", lambda reference: asked.append(reference.source) or [])
    from w2s.load import load
    from w2s.stages import Prompted

    recipe = load(str(write_recipe(tmp_path, strong__model="nobody/writer", method={"kind": "prompted"}, baselines=[])))
    left = [stage for stage in recipe.graph().values() if isinstance(stage, Prompted)]
    assert left
    list(fetch.ensure(recipe, left, lambda text: None))
    assert asked == ["nobody/writer"]
