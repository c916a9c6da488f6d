"""Plain data by path: what is written, what stands for what, and what is there where nothing was written."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cluster.errors import BadInput
from w2s.recipe import Recipe
from w2s.schema import MISSING, look, set_at, split, unknown_step

DATA: dict[str, Any] = {
    "method": {"kind": "bootstrap", "chain": ["weak", {"model": "gpt2", "epochs": 3}, "strong"]},
    "strong": {"model": "gpt2-xl"},
    "baselines": ["naive"],
}


@pytest.mark.parametrize(
    "path,expected",
    [
        ("method.kind", "bootstrap"),
        ("method.chain.1.epochs", 3),
        ("method.chain.0.learner", "weak"),
        ("method.chain.1.model.source", "gpt2"),
        ("method.chain.0.epochs", None),
        ("method.chain.3", MISSING),
        ("method.data", "same"),
        ("method.alpha", MISSING),
        ("strong.model.source", "gpt2-xl"),
        ("strong.model.revision", "main"),
        ("strong.optim.lr", 5e-5),
        ("strong.optim.nope", MISSING),
        ("baselines.0.kind", "naive"),
        ("baselines.0.members", 1),
        ("task.kind", MISSING),
    ],
)
def test_look(path: str, expected: Any) -> None:
    assert look(Recipe, DATA, split(path)) == expected


def test_look_without_defaults_sees_what_is_written_alone() -> None:
    assert look(Recipe, DATA, split("strong.optim.lr"), defaults=False) is MISSING
    assert look(Recipe, DATA, split("method.chain.0.learner"), defaults=False) == "weak"


@pytest.mark.parametrize(
    "path,value,place,expected",
    [
        ("method.chain.0.epochs", 2, ("method", "chain", 0), {"learner": "weak", "epochs": 2}),
        ("method.chain.2.lr", 0.1, ("method", "chain", 2), {"learner": "strong", "lr": 0.1}),
        ("method.chain.1.model.revision", "abc", ("method", "chain", 1, "model"), {"source": "gpt2", "revision": "abc"}),
        ("strong.model.layers", 3, ("strong", "model"), {"source": "gpt2-xl", "layers": 3}),
        ("strong.optim.lr", 0.1, ("strong", "optim"), {"lr": 0.1}),
        ("baselines.0.members", 4, ("baselines", 0), {"kind": "naive", "members": 4}),
        ("method.kind", "naive", ("method",), {"kind": "naive"}),
    ],
)  # fmt: skip
def test_set_at_writes_short_forms_in_full(path: str, value: Any, place: tuple[Any, ...], expected: Any) -> None:
    data = copy.deepcopy(DATA)
    set_at(Recipe, data, split(path), value, "here")
    assert look(None, data, place) == expected


def test_a_list_that_nobody_wrote_is_the_default_one() -> None:
    """Bootstrap's default chain is two strong rungs; changing one leaves the other."""
    data: dict[str, Any] = {"method": "bootstrap"}
    set_at(Recipe, data, split("method.chain.1.epochs"), 2, "here")
    assert [rung["learner"] for rung in data["method"]["chain"]] == ["strong", "strong"]
    assert [rung["epochs"] for rung in data["method"]["chain"]] == [None, 2]


@pytest.mark.parametrize(
    "path", ["method.chain.3.epochs", "method.chain.first.epochs", "method.chain.3", "strong.model.x.y.z"]
)
def test_a_path_that_leads_nowhere_is_told(path: str) -> None:
    data: dict[str, Any] = {
        "method": {"kind": "bootstrap", "chain": ["weak", "strong", "strong"]},
        "strong": {"model": {"x": 3}},
    }
    with pytest.raises(BadInput) as caught:
        set_at(Recipe, data, split(path), 1, "here")
    assert caught.value.where == "here"


@pytest.mark.parametrize(
    "path,fault",
    [
        ("method.alpha", None),
        ("method.chain.*.epochs", None),
        ("method.chain.1.loss.alpha", None),
        ("method.loss.kind", None),
        ("task.n_train", None),
        ("strong.probe.l2", None),
        ("strong.optim.betas.0", None),
        ("machines.models.gpt2.devices", None),
        ("methd.alpha", "no such field; did you mean 'method'?"),
        ("method.chain.*.epoch", "no such field; did you mean 'epochs'?"),
        ("strong.optim.lr.x", "nothing lies below 'strong.optim.lr'"),
        ("strong.optim.0", "there is no list at 'strong.optim'"),
    ],
)
def test_unknown_step(path: str, fault: str | None) -> None:
    found = unknown_step(Recipe, split(path))
    assert (found is None) if fault is None else (found or "").startswith(fault)


def test_names_are_those_of_the_kind_that_is_settled() -> None:
    kind = {("method",): {"kind": "naive"}}
    assert "There are: kind, members, combine" in (unknown_step(Recipe, split("method.alpha"), kind.get) or "")
