"""What members of a crowd differ in: every way makes other models, none by accident the same; what cannot differ is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from tests.w2s.methods.planning import below, config, planned, world
from w2s.crowd import CrowdConfig, crowd
from w2s.stages import Calibrated, Combine, Embed, Model, Probe, Train, Truth

TINY = {"source": "tiny:bert", "width": 8, "depth": 3}
PROBES: dict[str, Any] = {"weak": {"model": TINY, "probe": {"l2": 0.1}, "max_tokens": 64, "evaluate": "never"}}
MODELS = {"models": [{**TINY, "width": 8}, {**TINY, "width": 16}, {**TINY, "width": 32}]}
GIVEN = {
    "task": {"kind": "features", "path": "x.npz"},
    "weak": {"model": "given:a"},
    "strong": {"model": "features:x", "probe": {}},
}

BOTH: list[dict[str, Any]] = [
    {"differ": "bootstrap"}, {"differ": "subset"}, {"differ": "layer", "layers": [1, 2, 3]}, {"differ": "model", **MODELS}, {},
]  # fmt: skip
FINETUNED: list[dict[str, Any]] = [{"differ": "seed"}, {"differ": "order"}]
HEADS: list[dict[str, Any]] = [{"differ": "features"}]


def members(choices: dict[str, Any], **changes: Any) -> list[Model]:
    named = {} if "layers" in choices or "models" in choices else {"members": 3}
    found = crowd(world(**changes), CrowdConfig(kind="ensemble", **named, **choices))
    assert all(isinstance(one, Model) for one in found)
    return [one for one in found if isinstance(one, Model)]


@pytest.mark.parametrize("choices", BOTH + FINETUNED, ids=lambda c: c.get("differ", "auto"))
def test_finetuned_members_are_all_different(choices: dict[str, Any]) -> None:
    found = members(choices)
    assert len({one.key for one in found}) == 3
    assert {one.rows.name for one in found} == {"weak"}
    assert all(isinstance(one, Train) for one in found)


@pytest.mark.parametrize("choices", BOTH + HEADS, ids=lambda c: c.get("differ", "auto"))
def test_heads_are_all_different(choices: dict[str, Any]) -> None:
    found = members(choices, **PROBES)
    assert len({one.key for one in found}) == 3
    assert all(isinstance(one, Probe) for one in found)


def test_by_model_they_keep_the_settings_of_weak() -> None:
    found, weak = members({"differ": "model", **MODELS}), world().weak
    assert [one.learner.model.width for one in found] == [8, 16, 32]
    assert {one.learner.model_copy(update={"model": weak.model}) for one in found} == {weak}


def test_heads_on_several_layers_share_one_pass() -> None:
    found = members({"differ": "layer", "layers": [1, 2, 3]}, **PROBES)
    passes = {stage.key: stage for one in found for stage in one.inputs() if isinstance(stage, Embed)}
    assert [one.layers for one in passes.values()] == [(1, 2, 3)]
    assert [one.learner.probe.read for one in found if one.learner.probe] == [(1,), (2,), (3,)]


def test_a_finetuned_model_is_cut_off_above_its_layer() -> None:
    assert [one.learner.model.layers for one in members({"differ": "layer", "layers": [1, 2, 3]})] == [1, 2, 3]


def test_another_order_is_the_only_thing_that_differs() -> None:
    """One head, one start; the first is the weak model of every other method, trained once for all."""
    found = [one for one in members({"differ": "order"}) if isinstance(one, Train)]
    assert [one.order for one in found] == [None, 1000, 2000]
    assert {one.seed for one in found} == {0}
    naive = {stage.key for stage in below(planned("naive"))}
    assert found[0].key in naive


def test_neighbouring_seeds_share_no_member() -> None:
    """Seeds of one recipe lie beside each other: their members' must not meet."""
    for choices in (*FINETUNED, {"differ": "bootstrap"}):
        chosen, neighbour = CrowdConfig(kind="ensemble", **choices), dataclasses.replace(world(), seed=1)
        assert not {one.key for one in crowd(world(), chosen)} & {one.key for one in crowd(neighbour, chosen)}


def test_heads_from_zero_learn_from_samples_unasked() -> None:
    """A seed would change nothing; a head that is drawn does know one."""
    assert all(isinstance(one.labels, Truth) and one.labels.sample for one in members({}, **PROBES))
    drawn = {**PROBES, "weak": {**PROBES["weak"], "head": "normal"}}
    assert [one.seed for one in members({}, **drawn)] == [0, 1000, 2000]
    assert all(one.labels is None for one in members({}, **drawn))


def test_shares_have_defaults_of_their_own() -> None:
    def share(**choices: Any) -> float:
        labels = members(choices)[0].labels
        assert isinstance(labels, Truth)
        assert labels.sample is not None
        return labels.sample.share

    assert (share(differ="bootstrap"), share(differ="subset"), share(differ="subset", share=0.8)) == (1.0, 0.5, 0.8)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"differ": "features"}, {}, "features are a probe's to read"),
    ({"differ": "order"}, PROBES, "a probe meets all rows at once"),
    ({"differ": "seed"}, PROBES, "heads that start from zero are the same for every seed"),
    ({"differ": "layer", "layers": ["middle", 1]}, {}, "ends at a layer from 1 on"),
    ({"differ": "bootstrap"}, GIVEN, "given:a are labels, which nobody trains"),
    ({"differ": "order"}, GIVEN, "given:a are labels"),
]


@pytest.mark.parametrize("choices,changes,what", REFUSED, ids=[what for _, _, what in REFUSED])
def test_members_that_would_be_one_are_refused(choices: dict[str, Any], changes: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=what) as refused:
        crowd(world(**changes), CrowdConfig(kind="ensemble", **choices))
    assert "\n" not in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize("choices,what", [
    ({"differ": "layer"}, "differ: layer needs layers: name one a member"),
    ({"differ": "model"}, "differ: model needs models"),
    ({"differ": "layer", "layers": [1, 2], "members": 3}, "members: 3 and 2 layers"),
    ({"differ": "layer", "layers": [1, 1]}, "layers: one is named twice"),
    ({"differ": "model", "models": [TINY, TINY]}, "models: one is named twice"),
    ({"differ": "seed", "share": 0.5}, "differ: seed has no use for share"),
    ({"layers": [1, 2]}, "differ: auto has no use for layers"),
    ({"differ": "bootstrap", "models": [TINY]}, "differ: bootstrap has no use for models"),
])  # fmt: skip
def test_choices_that_would_not_act_are_refused(choices: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        CrowdConfig(kind="ensemble", **choices)


def test_calibration_needs_held_out_rows() -> None:
    unwatched = {"strong__evaluate": "never", "weak__evaluate": "never"}
    with pytest.raises(BadInput, match=r"split\.val: is 0, and calibration needs held-out rows"):
        planned("ensemble", world(split={"val": 0.0}, **unwatched), combine="calibrated")


def test_a_calibrated_verdict_is_the_mean_of_calibrated_members() -> None:
    verdict = planned("ensemble", members=3, combine="calibrated").floor
    assert verdict is not None
    assert isinstance(verdict.labels, Combine)
    assert verdict.labels.how == "mean_prob"
    for one in verdict.labels.labels:
        assert isinstance(one, Calibrated)
        assert (one.held_out.key, one.val.name) == (one.labels.on(one.val).key, "val")


def test_a_table_tells_crowds_apart() -> None:
    chosen: list[dict[str, Any]] = [
        {}, {"differ": "bootstrap"}, {"differ": "subset", "share": 0.3}, {"differ": "layer", "layers": [1, 2]},
        {"differ": "model", **MODELS}, {"combine": "calibrated"}, {"members": 8, "combine": "entropy"},
    ]  # fmt: skip
    labels = [config("ensemble", **choices).label for choices in chosen]
    assert len(set(labels)) == len(chosen)
    assert labels[3] == "ensemble differ=layer layers=1+2"
    assert labels[4].startswith("ensemble differ=model models=tiny-bert-8x3+tiny-bert-16x3+")
    assert max(map(len, labels)) < 100, "readable"
