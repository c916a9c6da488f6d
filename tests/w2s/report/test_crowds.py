"""Every kind of crowd is found behind a verdict, and told in text, JSON and on the page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import toy_recipe
from tests.w2s.methods.planning import planned, world
from w2s.recipe import Recipe
from w2s.report.crowds import Crowd, members_of, sheet
from w2s.report.sheets import remarks
from w2s.report.summary import Report, Row
from w2s.stages import Crowd as SideBySide
from w2s.stages import Joined, Piece, Predict

MEMBERS: list[tuple[str, dict[str, Any], int]] = [
    ("ensemble", {"members": 3}, 3), ("ensemble", {"members": 3, "combine": "calibrated"}, 3), ("naive", {}, 0),
    ("adaboost", {"rounds": 4}, 4), ("reliability", {"members": 3}, 3), ("confidence", {"members": 2}, 2),
    ("co_supervised", {}, 0), ("ensemble", {"members": 1}, 0),
]  # fmt: skip


@pytest.mark.parametrize("kind,choices,count", MEMBERS, ids=[f"{kind}-{count}" for kind, _, count in MEMBERS])
def test_members_behind_a_floor(kind: str, choices: dict[str, Any], count: int) -> None:
    floor = planned(kind, **choices).floor
    assert floor is not None
    assert len(members_of(floor.labels)) == count


def test_members_behind_what_was_done_to_a_verdict() -> None:
    there = world()
    three = [there.predict(model, "test") for model in there.supervisors(3)]
    verdict = there.combine(three)
    for wrapped in (there.harden(verdict), there.calibrate(verdict), SideBySide(tuple(three))):
        assert [one.key for one in members_of(wrapped)] == [one.key for one in three]


def test_pieces_of_one_labeller_are_no_crowd() -> None:
    there = world()
    model = there.train(there.weak, "weak")
    pieces = tuple(there.predict(model, there.part("weak", Piece(i, 2))) for i in range(2))
    assert all(isinstance(piece, Predict) for piece in pieces)
    assert members_of(Joined(pieces, there.part("weak"))) == ()


def test_a_table_a_line_a_method() -> None:
    found = [
        Crowd("ensemble", 0, (0.6, 0.7), 0.75, 0.2, 0.3, 0.3), Crowd("ensemble", 1, (0.8, 0.7), 0.85, 0.4, 0.5, 0.5),
        Crowd("adaboost", 0, (0.6, 0.6, 0.6), 0.6, 0.0, None, None),
    ]  # fmt: skip
    (table,) = sheet(found)
    assert table.rows == (
        ("ensemble", "2", "0.700", "0.750", "0.800", "0.300", "0.400", "0.400", "0, 1"),
        ("adaboost", "3", "0.600", "0.600", "0.600", "0.000", "-", "-", "0"),
    )
    assert all(len(row) == len(table.head) for row in table.rows)
    assert sheet([]) == []


def test_many_members_take_one_line_and_a_few_one_each() -> None:
    def told(count: int) -> list[str]:
        members = {"rung": (0.9,), **{f"member {i}": (0.6, 0.7) for i in range(count)}}
        row = Row("ensemble", (0, 1), None, None, None, None, None, "", (), None, members)
        return remarks(Report("r", "t", "w", "s", 0.5, None, None, 0.95, (row,)))

    assert len(told(4)) == 1 + 4
    assert told(6)[0] == "ensemble, member 0 to 5: mean accuracy over seeds " + ", ".join(["0.650"] * 6)
    assert told(6)[1:] == ["ensemble, rung: accuracy 0.900"]


def test_recipes_of_crowds_are_legal() -> None:
    methods = [{"kind": kind, **choices} for kind, choices, _ in MEMBERS]
    recipe = Recipe.model_validate(toy_recipe(method=methods[0], baselines=methods[1:]))
    recipe.check()
    assert len({method.label for method in recipe.methods}) == len(methods)
