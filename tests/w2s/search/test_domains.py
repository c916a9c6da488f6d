"""Domains: what is drawn lies in them, what they say of themselves is so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from w2s.search.domains import Choice, Domain, Integers, Loguniform, Uniform

ADAPTER: TypeAdapter[Domain] = TypeAdapter(Domain)
SHARES = st.floats(0, 1, exclude_max=True)
ENDS = st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def domain(written: Any) -> Domain:
    return ADAPTER.validate_python(written)


def test_each_is_written_as_yaml_shows_it() -> None:
    assert domain({"uniform": [0, 0.9]}) == Uniform(uniform=(0, 0.9))
    assert domain({"loguniform": [1e-5, 1e-3]}) == Loguniform(loguniform=(1e-5, 1e-3))
    assert domain({"integers": [1, 8]}) == Integers(integers=(1, 8))
    assert domain([1, [2], {"a": 3}]) == Choice(choice=(1, [2], {"a": 3}))
    assert domain({"choice": [1], "when": {"a": 1, "b": [2, 3]}}).when == {"a": (1,), "b": (2, 3)}


@pytest.mark.parametrize("written", [{"uniform": [0, 0.9]}, {"integers": [1, 8], "step": 2}, [1, "a", [None]]])
def test_what_is_dumped_is_read_again(written: Any) -> None:
    assert domain(domain(written).model_dump(mode="json")) == domain(written)


def test_what_an_algorithm_asks_of_a_number() -> None:
    found = [
        domain(d)
        for d in ({"uniform": [0, 0.9], "step": 0.4}, {"loguniform": [1, 10]}, {"integers": [1, 8], "step": 3})
    ]
    assert [(d.low, d.high, d.spacing, d.log, d.kind) for d in found if not isinstance(d, Choice)] == [
        (0, 0.8, 0.4, False, "float"),
        (1, 10, None, True, "float"),
        (1, 7, 3, False, "int"),
    ]


def test_steps_are_what_was_written() -> None:
    assert domain({"uniform": [0, 0.9], "step": 0.1}).every() == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert domain({"integers": [1, 8], "step": 2}).every() == (1, 3, 5, 7)
    assert all(type(value) is int for value in domain({"integers": [1, 3]}).every() or ())
    assert domain({"uniform": [0, 1]}).every() is None


@given(ends=ENDS, share=SHARES)
def test_what_is_drawn_lies_between_the_ends(ends: tuple[float, float], share: float) -> None:
    found = Uniform(uniform=ends)
    assert found.holds(found.at(share))
    assert all(map(found.holds, found.corners()))


@given(low=st.floats(1e-9, 1), factor=st.floats(1.01, 1e9), share=SHARES)
def test_a_logarithm_is_uniform(low: float, factor: float, share: float) -> None:
    found = Loguniform(loguniform=(low, low * factor))
    assert found.holds(found.at(share))
    assert found.at(0) == pytest.approx(low, rel=1e-5)
    assert found.at(0.5) == pytest.approx(low * factor**0.5, rel=1e-4)


@given(low=st.integers(-50, 50), width=st.integers(1, 60), step=st.integers(1, 60))
def test_every_value_of_a_grid_is_drawn(low: int, width: int, step: int) -> None:
    if step > width:
        with pytest.raises(ValidationError):
            Integers(integers=(low, low + width), step=step)
        return
    found = Integers(integers=(low, low + width), step=step)
    values = found.every() or ()
    assert {found.at(i / 1000) for i in range(1000)} == set(values)
    assert all(map(found.holds, values))
    assert not found.holds(found.high + step)


def test_truths_are_no_numbers() -> None:
    assert domain([0, 1]).holds(1.0)
    assert not domain([0, 1]).holds(True)
    assert not domain({"integers": [0, 1]}).holds(True)


def test_numbers_are_readable() -> None:
    assert Uniform(uniform=(0, 1)).at(1 / 3) == 0.333333
