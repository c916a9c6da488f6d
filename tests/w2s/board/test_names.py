"""Runs have the names of methods and roles, each its own and safe as a folder, whatever methods plan."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import toy_recipe
from w2s import registry
from w2s.board.names import method_names, roles, safe
from w2s.losses.xent import Config as Xent
from w2s.recipe import Recipe
from w2s.stages import Adapt, Model, Probe, walk


def planned(method: dict[str, Any], **changes: Any) -> Recipe:
    return Recipe.model_validate(toy_recipe(method=method, baselines=[], **changes))


def of(recipe: Recipe) -> dict[str, Any]:
    return dict(roles(recipe.outcomes[recipe.method][recipe.seeds[0]]))


def test_methods_of_one_kind_are_told_apart_by_what_they_chose() -> None:
    recipe = Recipe.model_validate(
        toy_recipe(
            method={"kind": "confidence", "alpha": 0.25},
            baselines=[{"kind": "confidence", "alpha": 0.3}, {"kind": "naive"}],
        )
    )
    assert list(method_names(recipe.methods).values()) == ["confidence alpha=0.25", "confidence alpha=0.3", "naive"]


def test_long_or_odd_names_stay_different_and_safe() -> None:
    chain = [
        {"model": {"source": "tiny:bert", "width": 16, "depth": 1}, "epochs": 1 + place / 8} for place in range(20)
    ]
    methods = [{"kind": "bootstrap", "chain": [*chain, {"learner": "strong", "epochs": end}]} for end in (1, 2, 3)]
    recipe = Recipe.model_validate(toy_recipe(method=methods[0], baselines=methods[1:]))
    names = list(method_names(recipe.methods).values())
    assert len(set(names)) == 3
    assert all(len(name) <= 100 and not set(name) & set("/<>|:\"'") for name in names)
    assert safe("../../<b>") == "-..-b-"
    assert safe("...") == "-"


@pytest.mark.parametrize("kind", registry.names("methods"))
def test_every_model_of_every_method_has_a_role_of_its_own(kind: str) -> None:
    recipe = planned({"kind": kind})
    outcome = recipe.outcomes[recipe.method][0]
    found = roles(outcome)
    taught = {
        key
        for key, stage in walk(*outcome.stages()).items()
        if isinstance(stage, Model | Adapt) and not isinstance(stage, Probe)
    }
    assert {stage.key for stage in found.values()} == taught
    assert len(found) == len(taught)
    assert all(role == safe(role) for role in found)


def test_roles_are_what_a_model_is_in_the_method() -> None:
    assert set(of(planned({"kind": "ensemble", "members": 3}))) == {"student", "ceiling", "weak 0", "weak 1", "weak 2"}
    chain = ["weak", "strong", "strong"]
    rungs = of(planned({"kind": "bootstrap", "chain": chain}))
    assert set(rungs) == {"student", "ceiling", "weak 0", "rung 1", "rung 2"}
    assert rungs["rung 2"].labels is not None


def test_legs_before_the_last_are_named_after_it() -> None:
    world = planned({"kind": "naive"}, strong__select="last").world(0)
    labels = world.predict(world.supervisors()[0], "strong")
    legs = world.legs(world.strong, "strong", losses=[Xent()] * 3, labels=labels)
    found = roles(world.outcome(labels, legs[-1]))
    assert [found[name] for name in ("student, leg 1", "student, leg 2", "student")] == legs
    assert set(found) == {"student", "student, leg 1", "student, leg 2", "ceiling", "weak 0"}
