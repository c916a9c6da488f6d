"""Learning curves: the points are those of curve.json, the step kept is said, what is not there is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import StageFailed
from cluster.store import Store
from tests.w2s.report.finished import RECIPE, toy
from w2s import bridge
from w2s.recipe import Recipe
from w2s.report.curves import Curve, Point, curves, students
from w2s.report.gather import gather
from w2s.report.sheets import sparkline
from w2s.stages import Predict, Train


def curves_of(store: Store, recipe: Recipe = RECIPE) -> tuple[Curve, ...]:
    return curves(recipe, gather(recipe, store), store)


def student(place: int, seed: int) -> Any:
    labels = list(RECIPE.outcomes.values())[place][seed].transfer.labels
    assert isinstance(labels, Predict)
    return labels.model


def test_every_student_has_the_curve_of_its_folder(finished: Store) -> None:
    found = curves_of(finished)
    names = [(curve.method, curve.student, curve.seed) for curve in found]
    assert names == [(method.label, "transfer", seed) for method in RECIPE.methods for seed in (0, 1)]
    for i, curve in enumerate(found):
        folder = finished.path(student(i // 2, i % 2).key)
        told = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
        shown = [{name: look[name] for name in vars(Point(0, 0.0))} for look in told]
        assert [vars(point) for point in curve.points] == shown
        steps = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))["metrics"]["steps"]
        # every third step, and the last; `select: last` keeps that one
        assert [point.step for point in curve.points] == [*range(3, steps, 3), steps]
        assert (curve.select, curve.selected_step, curve.selected) == ("last", steps, curve.points[-1])


def test_the_look_at_what_was_kept_is_the_one_of_its_step() -> None:
    looks = (Point(2, 0.6), Point(4, 0.8), Point(6, 0.7))
    assert Curve("naive", "transfer", 0, "best", looks, 6, 6, 4).selected == Point(4, 0.8)
    assert Curve("naive", "transfer", 0, "last", looks, 7, 7, 7).selected is None


def test_who_learned_from_labels_is_a_student_and_who_learned_from_truth_is_none() -> None:
    recipe = toy(
        method={"kind": "bootstrap", "chain": ["weak", "strong"]}, baselines=[{"kind": "floor"}, {"kind": "ensemble"}]
    )
    named = [[name for name, _ in students(by_seed[0])] for by_seed in recipe.outcomes.values()]
    assert named == [["rung 1", "transfer"], [], ["transfer"]]
    for by_seed in recipe.outcomes.values():
        assert all(isinstance(model, Train) and model.labels is not None for _, model in students(by_seed[0]))


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = curves_of(Store.open(tmp_path / "nothing", create=False))
    assert [curve.missing for curve in found] == [bridge.name(student(i // 2, i % 2)) for i in range(4)]
    assert all((curve.points, curve.selected_step) == ((), None) for curve in found)


def test_selection_by_truth_is_marked(tmp_path: Path) -> None:
    found = curves_of(Store.open(tmp_path / "nothing", create=False), toy(strong__select="oracle"))
    assert all(curve.select == "oracle" and curve.method.endswith("(oracle)") for curve in found)


@pytest.mark.parametrize("raw", [None, "", "{}", '[{"agreement": 1}]'], ids=["gone", "empty", "no list", "no step"])
def test_a_damaged_curve_is_a_problem_with_a_remedy(copy: Store, raw: str | None) -> None:
    key = student(0, 0).key
    file = copy.path(key) / "curve.json"
    file.unlink()
    if raw is not None:
        file.write_text(raw)
    with pytest.raises(StageFailed, match=r"curve\.json") as caught:
        curves_of(copy)
    assert key[:12] in caught.value.where
    assert "w2s verify --quarantine" in caught.value.remedy


def test_a_sparkline_has_a_bar_a_look_from_least_to_greatest() -> None:
    assert sparkline([0.0, 0.6, 0.3, 0.7]) == "▁▇▄█"
    assert sparkline([]) == ""
    assert sparkline([0.4, 0.4]) == "▄▄"
    many = sparkline([i / 1000 for i in range(1000)])
    assert (len(many), many[0], many[-1]) == (40, "▁", "█")
    assert list(many) == sorted(many)
