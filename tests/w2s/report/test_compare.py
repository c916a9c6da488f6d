"""Two recipes side by side: every field that differs, every score beside its other, and no number where none can be had."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.store import Store
from tests.w2s.command import check_golden, w2s
from tests.w2s.report.page.made_up import fill, usual, wanted
from w2s.report.changes import differences
from w2s.report.wanted import Wanted
from w2s.stages import Grade, Model
from w2s.work import graded

ONE = {"method": {"kind": "confidence", "alpha": 0.2}, "seeds": [0, 1, 2]}
OTHER = {
    "method": {"kind": "confidence", "alpha": 0.6},
    "seeds": [1, 2, 3],
    "machines": {"strong": {"cpus": 2}},
    "strong__optim": {"kind": "adamw", "lr": 0.001},
}


@pytest.fixture
def store(store_url: str) -> Store:
    return Store.open(store_url)


@pytest.fixture
def two(tmp_path: Path, store: Store) -> tuple[Wanted, Wanted]:
    """Recipes that differ in alpha, in a learning rate, in machines and in seeds; both are done."""
    found = wanted(tmp_path, "one.yaml", **ONE), wanted(tmp_path, "two.yaml", **OTHER)
    for one in found:
        fill(store, one)
    return found


def compared(store: Store, *recipes: str, **more: str) -> Any:
    flags = [part for name, value in more.items() for part in (f"--{name.replace('_', '-')}", value)]
    done = w2s("compare", *recipes, "--store", store.url, "--json", *flags)
    assert done.code == 0, done.err
    return done.json


def scores(found: Any, method: str) -> dict[str, Any]:
    [pair] = [pair for pair in found["results"] if pair["a"].startswith(method)]
    return {score["name"]: score for score in pair["scores"]}


def test_golden(two: tuple[Wanted, Wanted], store: Store, tmp_path: Path) -> None:
    done = w2s("compare", "one.yaml", "two.yaml", "--store", store.url, "--format", "md", cwd=tmp_path)
    check_golden("report/compare.md", done.out)
    table = w2s("compare", "one.yaml", "two.yaml", "--store", store.url, cwd=tmp_path).out
    assert "method.alpha" in table
    assert "confidence alpha=0.2 / confidence alpha=0.6" in table


def test_fields_that_differ_by_path_science_and_machines_apart(two: tuple[Wanted, Wanted], store: Store) -> None:
    found = compared(store, *(one.reference for one in two))
    assert found["science"] == [
        {"path": "strong.optim.lr", "a": 0.003, "b": 0.001},
        {"path": "method.alpha", "a": 0.2, "b": 0.6},
    ]
    assert found["machines"] == [{"path": "machines.strong.cpus", "a": 1.0, "b": 2.0}]
    recipe = two[0].written.recipe
    assert differences(recipe, recipe) == ()


def test_scores_are_those_of_the_files_over_the_seeds_both_have(two: tuple[Wanted, Wanted], store: Store) -> None:
    found = scores(compared(store, *(one.reference for one in two)), "confidence")
    for side in ("floor", "transfer", "ceiling"):
        right = [
            np.stack(
                [
                    graded.read(store.path(outcome.sides()[side].key))[1]
                    for seed in (1, 2)
                    for outcome in [by_seed[seed]]
                ]
            )
            for one in two
            for by_seed in [one.written.recipe.outcomes[one.written.recipe.method]]
        ]
        means = [float(each.mean()) for each in right]
        assert found[side]["seeds"] == [1, 2]
        assert found[side]["rows"] == right[0].shape[1]
        assert [found[side][name]["mean"] for name in "ab"] == pytest.approx(means)
        assert found[side]["difference"]["mean"] == pytest.approx(means[1] - means[0])
    assert found["floor"]["same"] is True, "the weak models are the same stages"
    assert found["transfer"]["same"] is False
    assert 0 < found["transfer"]["p"] <= 1
    gaps = [found["ceiling"][name]["mean"] - found["floor"][name]["mean"] for name in "ab"]
    ratios = [
        (found["transfer"][name]["mean"] - found["floor"][name]["mean"]) / gap
        for name, gap in zip("ab", gaps, strict=True)
    ]
    assert found["PGR"]["difference"]["mean"] == pytest.approx(ratios[1] - ratios[0])


def test_a_recipe_against_itself_is_the_same_and_says_what_its_report_says(
    two: tuple[Wanted, Wanted], store: Store
) -> None:
    one = two[0].reference
    found = compared(store, one, one)
    assert found["science"] == found["machines"] == found["notes"] == []
    report = w2s("report", one, "--store", store.url, "--json").json
    every = scores(found, "confidence")
    assert all(score["same"] for score in every.values())
    assert every["floor"]["a"] == report["rows"][0]["floor"]
    assert every["PGR"]["b"] == report["rows"][0]["pgr"]
    assert every["transfer"]["p"] == 1


def test_one_recipe_in_two_stores(two: tuple[Wanted, Wanted], store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other")
    fill(other, two[0], skill=lambda model: 0.95 if model.labels is not None else usual(model))
    one = two[0].reference
    for found in (compared(store, one, one, store_b=other.url), compared(store, one, f"{one}@{other.url}")):
        assert found["science"] == []
        transfer = scores(found, "confidence")["transfer"]
        assert transfer["same"] is False, "the same stages, with other results"
        assert transfer["difference"]["low"] > 0
        assert transfer["p"] < 0.001


def test_what_cannot_be_compared_says_why(tmp_path: Path, store: Store) -> None:
    task = {"kind": "toy", "size": 240, "n_test": 60}
    one = wanted(tmp_path, "one.yaml", seeds=[0])
    seeds = wanted(tmp_path, "seeds.yaml", seeds=[5, 6], method={"kind": "ensemble"})
    fewer = wanted(tmp_path, "fewer.yaml", task={**task, "n_test": 40})
    rows = [f'{{"text": "row {i}", "label": {i % 2}}}' for i in range(100)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    apart = wanted(tmp_path, "apart.yaml", task={"kind": "file", "path": str(tmp_path / "rows.jsonl"), "text": "text"})
    for each in (one, seeds, fewer, apart):
        fill(store, each)
    found = scores(compared(store, one.reference, seeds.reference), "naive")["transfer"]
    assert found["why"] == "no seed in common: 0 against 5, 6"
    assert (found["p"], found["seeds"]) == (None, [])
    assert found["difference"] is not None
    found = scores(compared(store, one.reference, fewer.reference), "naive")["transfer"]
    assert found["why"] == "over the 40 test rows that both have, of 60 and 40"
    assert found["rows"] == 40
    whole = compared(store, one.reference, apart.reference)
    assert whole["notes"] == ["the tasks differ (toy, file): their scores are not comparable"]
    assert all(score["difference"] is None for pair in whole["results"] for score in pair["scores"])
    assert scores(whole, "naive")["floor"]["a"] is not None


def test_what_is_missing_and_what_has_no_gap_or_no_counterpart(tmp_path: Path, store: Store) -> None:
    one = wanted(tmp_path, "one.yaml", baselines=[])
    other = wanted(tmp_path, "two.yaml", baselines=[{"kind": "ensemble", "members": 3}])
    fill(store, one, skill=lambda model: 0.7)
    fill(store, other, leave=lambda stage: isinstance(stage, Model) and stage.seed > 1000)
    found = compared(store, one.reference, other.reference)
    assert found["alone"] == {"A": [], "B": ["ensemble members=3"]}
    assert scores(found, "confidence")["PGR"]["why"] == "no gap to recover in A and B"
    assert found["b"]["finish"] in found["notes"][0]
    gone = next(stage for stage in one.written.recipe.goals() if isinstance(stage, Grade))
    shutil.rmtree(store.path(gone.key))
    found = compared(store, one.reference, one.reference)
    assert scores(found, "confidence")["floor"]["why"] == "not there yet in A and B"
    assert scores(found, "confidence")["PGR"]["why"] == "not all three sides are there"
