"""Objectives: each the number that is computed by hand from what students and supervisors left in the store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput, StageFailed
from cluster.seal import sealed
from cluster.store import Store
from tests.w2s.command import w2s
from tests.w2s.search.conftest import Searched
from tests.w2s.search.searches import rows, tune
from w2s.search.check import check_search
from w2s.search.config import Search
from w2s.search.measure import Measure, supervisor_ce, supervisors
from w2s.search.searched import load_searched

POINT = {"agreement": 0.8, "accuracy": 0.7, "loss": 0.5, "confidence": 0.9, "misfit": 0.3}


def asked(**search: Any) -> Search:
    return Search.model_validate({"space": {"method.alpha": {"uniform": [0, 1]}}, **search})


def left(store: Path, key: str, name: str) -> Any:
    return json.loads((store / key[:2] / key / name).read_text())


@pytest.mark.parametrize(
    "objective,expected", [("agreement", 0.8), ("confidence", 0.9), ("oracle", 0.7), ("misfit", 2 * 0.3 - 0.25)]
)
def test_a_score_by_hand(objective: str, expected: float) -> None:
    measure = Measure(asked(objective=objective, misfit_slope=2.0), {0: 0.25})
    assert measure.score(0, POINT) == pytest.approx(expected)
    better = {name: value + 0.2 for name, value in POINT.items()}
    both = Measure(asked(objective=objective, misfit_slope=2.0), {0: 0.25, 1: 0.25})
    assert both.mean({0: POINT, 1: better}) == pytest.approx(expected + 0.1 * (2 if objective == "misfit" else 1))


def test_what_was_not_measured_is_told() -> None:
    with pytest.raises(StageFailed, match="did not measure misfit"):
        Measure(asked(objective="misfit")).score(0, {"agreement": 0.5})


@pytest.mark.parametrize("objective", ["agreement", "confidence", "misfit", "oracle"])
def test_a_search_judges_by_its_objective(again: Searched, objective: str) -> None:
    """The same students from the store, judged by each objective: nothing is trained again."""
    recipe = again.recipe(
        {"objective": objective, "misfit_slope": 3.0} if objective == "misfit" else {"objective": objective}
    )
    done = tune(recipe, again.store, "--json")
    assert done.code == 0, done.err
    assert '"started"' not in done.err
    weak = supervisors(load_searched(str(recipe)).base_recipe)[0]
    own = left(again.store, weak[0].key, "receipt.json")["metrics"]["val_loss"]
    assert len(weak) == 1
    table = Path(done.json["table"])
    found = [json.loads(line) for line in table.read_text().splitlines()]
    whole = [row for row in found if row["status"] == "done"]
    assert len(whole) == 3
    for row in whole:
        curve = left(again.store, row["keys"]["student"][0], "curve.json")
        by_hand = {
            "agreement": [point["agreement"] for point in curve],
            "confidence": [point["confidence"] for point in curve],
            "misfit": [3.0 * point["misfit"] - own for point in curve],
            "oracle": [point["accuracy"] for point in curve],
        }[objective]
        assert [report["objective"] for report in row["reports"]] == pytest.approx(by_hand)
        assert row["metrics"]["objective"] == pytest.approx(by_hand[-1]), "select: last"
    best = max(whole, key=lambda row: (row["metrics"]["objective"], -row["number"]))
    assert done.json["best"]["trial"] == best["trial"]
    assert done.json["oracle"] is (objective == "oracle")
    told = tune(recipe, again.store).out
    assert ("the objective looks at ground truth: a bound" in told) is (objective == "oracle")
    assert ("chosen by ground truth" in (table.parent / "best.yaml").read_text()) is (objective == "oracle")


def test_misfit_needs_a_measured_supervisor(again: Searched) -> None:
    """Said before anything starts; and of a supervisor that is gone, rather than taking its error for none."""
    file = again.recipe({"objective": "misfit"}, weak__evaluate="never", name="unmeasured")
    done = w2s("check", file)
    assert (done.code, "weak.evaluate is never" in done.err) == (2, True)
    with pytest.raises(BadInput):
        check_search(load_searched(str(file)))
    recipe = load_searched(str(again.recipe())).base_recipe
    store = Store.open(again.store)
    assert supervisor_ce(recipe, store)[0] > 0
    with pytest.raises(StageFailed, match="the supervisor's own error"):
        supervisor_ce(recipe, Store.open(again.folder / "empty"))


@pytest.mark.parametrize("spoilt", ["its receipt is of a time when misfit was not measured", "its receipt is damaged"])
def test_a_trial_that_cannot_be_judged_fails_alone(again: Searched, spoilt: str) -> None:
    store = Store.open(again.store)
    first = next(iter(rows(again.store).values())).keys["student"][0]
    receipt = store.receipt(first)
    older = {name: value for name, value in receipt.metrics.items() if name != "val_misfit"}
    file = again.store / first[:2] / first / "receipt.json"
    file.write_bytes(sealed(replace(receipt, metrics=older)) if "time" in spoilt else file.read_bytes()[:-9])
    done = tune(again.recipe({"objective": "misfit"}), again.store, "--json")
    assert done.code == 1, done.err
    assert (done.json["trials"]["done"], done.json["trials"]["failed"]) == (2, 1)
    assert ("did not measure misfit" if "time" in spoilt else "is damaged") in done.err
