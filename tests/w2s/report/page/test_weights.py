"""The figure of learned weights, on made-up courses: what moved, what did not, who the supervisors are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.store import Store
from tests.w2s.report.page.made_up import fill, wanted
from w2s.report.page.chapter import chapters
from w2s.report.page.figure import Figure
from w2s.report.page.weights import weights
from w2s.report.page.write import render
from w2s.report.wanted import Wanted
from w2s.shown.ledger import Ledger
from w2s.stages import Model

RAVEN: dict[str, Any] = {"kind": "raven", "members": 2, "calibrate": False}


@pytest.fixture
def store(store_url: str) -> Store:
    return Store.open(store_url)


def told(store: Store, asked: Wanted, ways: dict[int, list[list[float]]]) -> Figure | None:
    """The figure, where students of these seeds learned these weights, a look every 10 steps."""
    fill(store, asked)
    for stage in asked.written.recipe.graph().values():
        if isinstance(stage, Model) and stage.loss.kind == "raven" and stage.seed in ways:
            course = [{"step": 10 * place, "weight": weight} for place, weight in enumerate(ways[stage.seed])]
            (store.path(stage.key) / "course.json").write_text(json.dumps(course))
    return weights(chapters([asked], store, Ledger(store), "store"), store)


def test_weights_are_told_beside_how_good_each_supervisor_is(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, method=RAVEN, baselines=["naive"], seeds=[0, 1])
    found = told(store, asked, {0: [[0.5, 0.5], [0.6, 0.4], [0.9, 0.1]], 1: [[0.5, 0.5], [0.5, 0.5], [0.7, 0.3]]})
    assert found is not None
    assert found.head == (
        "method", "supervisor", "weight at first", "at last", "at last by seed", "test accuracy (truth)"
    )  # fmt: skip
    assert [row[1:5] for row in found.rows] == [
        ("member 0", "0.500", "0.800", "0.900, 0.700"), ("member 1", "0.500", "0.200", "0.100, 0.300")
    ]  # fmt: skip
    grades = chapters([asked], store, Ledger(store), "store")[0].lines[0].row.member_means
    assert [row[5].split()[0] for row in found.rows] == [
        f"{grades[name].mean:.3f}" for name in ("member 0", "member 1")
    ]
    assert "has not moved" not in found.told
    assert "member 0: from 0.500 to 0.800" in found.svg, "in words, for those who see no drawing"
    assert found.svg.count("stroke-width:0.8") == 4, "a thin line for each supervisor and seed"
    assert found.svg.count("stroke-width:2;") + found.svg.count('stroke-width:2"') == 2, "a thick one for each mean"
    assert found.svg in render([asked], store, "store")


def test_weights_that_have_not_moved_are_called_the_mean_ensemble(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, method=RAVEN, baselines=[{**RAVEN, "loss": {"start": "random"}}], seeds=[0])
    found = told(store, asked, {0: [[0.5, 0.5], [0.505, 0.495]]})
    assert found is not None
    assert found.told.count("has not moved: it is the mean ensemble") == 2
    for stage in asked.written.recipe.graph().values():
        course = store.path(stage.key) / "course.json"
        if isinstance(stage, Model) and course.exists():
            course.write_text(json.dumps([{"step": 0, "weight": [0.8, 0.2]}, {"step": 10, "weight": [0.8, 0.2]}]))
    found = weights(chapters([asked], store, Ledger(store), "store"), store)
    assert found is not None
    assert found.told.count("has not moved: it is the ensemble it began as") == 2


def test_a_way_out_and_back_has_moved(tmp_path: Path, store: Store) -> None:
    asked = wanted(tmp_path, method=RAVEN, baselines=[], seeds=[0])
    found = told(store, asked, {0: [[0.5, 0.5], [0.6, 0.4], [0.5, 0.5]]})
    assert found is not None
    assert "has not moved" not in found.told


def test_where_nobody_learns_weights_there_is_no_figure(tmp_path: Path, store: Store) -> None:
    assert told(store, wanted(tmp_path, method="naive", baselines=[]), {}) is None
