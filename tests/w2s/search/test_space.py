"""The walk over a space: order, lists that grow with what is drawn, conditions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cluster.errors import BadInput
from w2s.recipe import Recipe
from w2s.search.domains import Domain
from w2s.search.space import Space, assign, check_space, ordered, pattern_of

ADAPTER: TypeAdapter[dict[str, Domain]] = TypeAdapter(dict[str, Domain])
BASE: dict[str, Any] = {"method": {"kind": "bootstrap"}, "strong": {"model": "gpt2"}, "weak": {"model": "gpt2"}}


def space(**paths: Any) -> Space:
    return ADAPTER.validate_python({path.replace("__", ".").replace("STAR", "*"): d for path, d in paths.items()})


def take(values: dict[str, Any]) -> Any:
    """Draws the values given for a path, else the domain's middle."""
    return lambda path, domain: values.get(path, domain.at(0.5))


LADDERS = space(
    method__chain__STAR__epochs={"uniform": [1, 4], "step": 1},
    method__chain=[["strong"], ["weak", "strong"], ["weak", {"model": "gpt2-medium"}, "strong"]],
)


def test_a_space_grows_with_what_it_draws() -> None:
    for chain in LADDERS["method.chain"].choice:  # type: ignore[union-attr]
        found = assign(BASE, LADDERS, take({"method.chain": chain}), Recipe)
        assert list(found) == ["method.chain", *(f"method.chain.{i}.epochs" for i in range(len(chain)))]


def test_the_list_comes_first_however_it_is_written() -> None:
    assert ordered(LADDERS) == ["method.chain", "method.chain.*.epochs"]
    assert ordered(dict(reversed(LADDERS.items()))) == ["method.chain", "method.chain.*.epochs"]


def test_nothing_given_is_changed() -> None:
    before = copy.deepcopy((BASE, dict(LADDERS)))
    found = assign(BASE, LADDERS, take({}), Recipe)
    found["method.chain"].append("x")
    assert (BASE, dict(LADDERS)) == before


def test_a_rung_by_number_is_there_only_where_the_chain_is_so_long() -> None:
    one = space(method__chain=[["strong"], ["weak", "strong"]], method__chain__1__lr={"uniform": [0.1, 0.2]})
    assert list(assign(BASE, one, take({"method.chain": ["strong"]}), Recipe)) == ["method.chain"]
    found = assign(BASE, one, take({"method.chain": ["weak", "strong"]}), Recipe)
    assert list(found) == ["method.chain", "method.chain.1.lr"]


def test_a_star_over_a_list_that_nobody_wrote() -> None:
    found = assign(BASE, space(method__chain__STAR__lr={"uniform": [0.1, 0.3]}), take({}), Recipe)
    assert list(found) == ["method.chain.0.lr", "method.chain.1.lr"], "bootstrap's default chain has two rungs"


def test_the_draw_is_told_the_concrete_path_and_the_domain() -> None:
    seen: list[tuple[str, float]] = []

    def draw(path: str, domain: Domain) -> Any:
        seen.append((path, len(domain.every() or ())))
        return domain.at(0.9)

    assign(BASE, LADDERS, draw, Recipe)
    assert seen == [("method.chain", 3), *((f"method.chain.{i}.epochs", 4) for i in range(3))]


def test_when_on_what_is_drawn_written_or_default() -> None:
    alpha = {"uniform": [0, 0.9], "when": {"method.kind": ["confidence", "raven"]}}
    kinds = space(method__alpha=alpha, method__kind=["naive", "confidence"])
    assert list(assign(BASE, kinds, take({"method.kind": "naive"}), Recipe)) == ["method.kind"]
    assert list(assign(BASE, kinds, take({"method.kind": "confidence"}), Recipe)) == ["method.kind", "method.alpha"]
    written = space(method__members={"choice": [1, 2], "when": {"method.kind": "bootstrap"}})
    assert list(assign(BASE, written, take({}), Recipe)) == ["method.members"]
    assert list(assign({**BASE, "method": "bootstrap"}, written, take({}), Recipe)) == ["method.members"]
    default = space(method__members={"choice": [1, 2], "when": {"method.data": "same"}})
    assert list(assign(BASE, default, take({}), Recipe)) == ["method.members"]
    assert assign(BASE, default, take({}), None) == {}, "without the schema nobody knows the default"


def test_when_within_a_list_means_the_same_index() -> None:
    rungs = space(
        method__chain__STAR__learner=["weak", "strong"],
        method__chain__STAR__lr={"uniform": [0.1, 0.3], "when": {"method.chain.*.learner": "weak"}},
    )
    base = {"method": {"kind": "bootstrap", "chain": [{"epochs": 1}, {"epochs": 2}]}}
    drawn = take({"method.chain.0.learner": "strong", "method.chain.1.learner": "weak"})
    assert list(assign(base, rungs, drawn, Recipe)) == [
        "method.chain.0.learner", "method.chain.1.learner", "method.chain.1.lr",
    ]  # fmt: skip


def test_when_on_a_list_whose_elements_are_searched_too() -> None:
    found = space(
        method__chain=[["strong"], ["weak", "strong"]],
        method__chain__STAR__lr={"uniform": [0.1, 0.3]},
        method__members={"choice": [1, 2], "when": {"method.chain": [["weak", "strong"]]}},
    )
    assert "method.members" in assign(BASE, found, take({"method.chain": ["weak", "strong"]}), Recipe)
    assert "method.members" not in assign(BASE, found, take({"method.chain": ["strong"]}), Recipe)


@given(
    names=st.permutations(["a", "b", "c", "d", "e"]),
    links=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=6),
)
def test_order_puts_conditions_first_or_refuses_circles(names: list[str], links: list[tuple[int, int]]) -> None:
    conditions: dict[str, dict[str, int]] = {name: {} for name in names}
    for later, earlier in links:
        conditions[names[later]][names[earlier]] = 1
    tried = ADAPTER.validate_python({name: {"choice": [1, 2], "when": when} for name, when in conditions.items()})
    edges = {(name, other) for name, when in conditions.items() for other in when}
    reach = set(edges)
    for _ in names:
        reach |= {(a, d) for a, b in reach for c, d in reach if b == c}
    if any(a == b for a, b in reach):
        with pytest.raises(BadInput, match="wait for each other"):
            ordered(tried)
        return
    order = ordered(tried)
    assert sorted(order) == sorted(names)
    assert all(order.index(other) < order.index(name) for name, other in edges)


def test_a_concrete_path_finds_its_pattern() -> None:
    assert pattern_of(LADDERS, "method.chain.12.epochs") == "method.chain.*.epochs"


@pytest.mark.parametrize(
    "paths,fault",
    [
        ({}, "is empty"),
        ({"method": ["naive"], "method.alpha": [0, 1]}, "decide the same field"),
        ({"a.*.x": [1], "a.1.x": [1]}, "decide the same field"),
        ({"a.b": {"choice": [1], "when": {"a.b": 1}}}, "wait for each other"),
        ({"machines.strong.devices": [1]}, "never changes a result"),
        ({"a": {"choice": [1], "when": {"b.*.c": 1}}}, "means no one index"),
    ],
)
def test_what_no_recipe_could_have_is_refused(paths: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        check_space(ADAPTER.validate_python(paths))


def test_an_outer_list_and_its_elements_go_together() -> None:
    check_space(LADDERS)
    check_space(space(method__kind=["naive", "confidence"], method__alpha=[0, 1]))


def test_a_kind_is_decided_before_its_fields_which_it_clears() -> None:
    kinds = space(method__alpha=[0.1, 0.2], method__kind=["confidence", "raven"])
    assert list(assign(BASE, kinds, take({}), Recipe)) == ["method.kind", "method.alpha"]
