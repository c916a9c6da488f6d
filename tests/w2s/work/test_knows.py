"""P(IK): a planted region that can be known is found, on rows that taught nothing; its numbers are checked by another program."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work.planted import House, knows_of, lying, recipe, turned, write
from w2s.recipe import Recipe
from w2s.work.knows import FOLDS, fit, folds, judged, platt
from w2s.work.prompted import SHOTS, shown


def planted(count: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Right 19 times in 20 where the first number is above 0, every other time elsewhere."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(count, 8))
    points[:, 0] += np.where(points[:, 0] > 0, 2.0, -2.0)
    right = generator.random(count) < np.where(points[:, 0] > 0, 0.95, 0.5)
    return torch.from_numpy(points), right


def some_folds(count: int) -> np.ndarray:
    return folds([f"g{i}" for i in range(count)])


@pytest.mark.parametrize("seed", range(3))
def test_a_region_that_can_be_known_is_found(seed: int) -> None:
    points, right = planted(600, seed)
    found = fit(points, right, some_folds(600), None, "here")
    held, held_right = planted(400, 100 + seed)
    slope, shift = platt(found.scores(held), held_right)
    other, _ = planted(1000, 200 + seed)
    known = 1 / (1 + np.exp(-(slope * found.scores(other) + shift)))
    inside = (other[:, 0] > 0).numpy()
    assert abs(known[inside].mean() - 0.95) < 0.06
    assert abs(known[~inside].mean() - 0.5) < 0.1
    assert known[inside].min() > known[~inside].max() - 0.1


def test_it_is_logistic_regression() -> None:
    """By another program: two softmax rows of l2 each are one logistic row of l2 / 2."""
    points, right = planted(300, 0)
    found = fit(points, right, some_folds(300), 0.05, "here")
    scale = StandardScaler().fit(points)
    model = LogisticRegression(C=1 / (0.05 * 300), tol=1e-10, max_iter=10_000).fit(scale.transform(points), right)
    np.testing.assert_allclose(found.scores(points), model.decision_function(scale.transform(points)), atol=1e-3)


def test_its_own_rows_are_judged_out_of_fold_and_l2_is_chosen_there(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = (1e-3, 0.1, 3.0)
    monkeypatch.setattr("w2s.work.knows.GRID", grid)
    points, right = planted(80, 1)
    fold, cost = some_folds(80), {}
    for l2 in grid:
        score = np.empty(80)
        for f in range(FOLDS):
            model = fit(points[fold != f], right[fold != f], np.arange((fold != f).sum()) % 2, l2, "here")
            score[fold == f] = model.scores(points[fold == f])
        cost[l2] = float(np.logaddexp(0, np.where(right, -score, score)).sum())
        np.testing.assert_allclose(fit(points, right, fold, l2, "here").score_R, score, atol=1e-3)
    assert fit(points, right, fold, None, "here").l2 == min(cost, key=cost.__getitem__)


def test_chance_is_not_known() -> None:
    """Where no direction tells anything, scores on rows that taught nothing are no better than a coin."""
    generator = np.random.default_rng(0)
    found = fit(
        torch.from_numpy(generator.normal(size=(400, 20))), generator.random(400) < 0.7, some_folds(400), None, "x"
    )
    held, right = torch.from_numpy(generator.normal(size=(400, 20))), generator.random(400) < 0.7
    assert abs(roc_auc_score(right, found.scores(held)) - 0.5) < 0.08
    slope, shift = platt(found.scores(held), right)
    known = 1 / (1 + np.exp(-(slope * found.scores(held) + shift)))
    assert abs(known - right.mean()).max() < 0.1


@pytest.mark.parametrize("all_right", [True, False])
def test_labels_that_are_all_right_or_all_wrong_leave_odds(all_right: bool) -> None:
    points, _ = planted(30, 0)
    found = fit(points, np.full(30, all_right), some_folds(30), None, "here")
    known = 1 / (1 + np.exp(-found.scores(points)))
    np.testing.assert_allclose(known, 31 / 32 if all_right else 1 / 32)


def test_platt_is_his_fit() -> None:
    generator = np.random.default_rng(0)
    score = generator.normal(size=500) * 3
    right = generator.random(500) < 1 / (1 + np.exp(-(0.5 * score - 0.3)))
    slope, shift = platt(score, right)
    assert (slope, shift) == (pytest.approx(0.5, abs=0.15), pytest.approx(-0.3, abs=0.25))
    count = right.sum()
    target = np.where(right, (count + 1) / (count + 2), 1 / (500 - count + 2))
    error = 1 / (1 + np.exp(-(slope * score + shift))) - target
    np.testing.assert_allclose([error.mean(), (error * score).mean()], 0, atol=1e-4)


def test_a_classifier_that_is_upside_down_says_nothing() -> None:
    score = np.linspace(-3, 3, 100)
    slope, shift = platt(score, score < 0)
    assert slope == 0
    assert 1 / (1 + np.exp(-shift)) == pytest.approx(0.5)
    slope, _ = platt(score, score > 0)
    assert 0 < slope < 100, "and what a threshold separates is no reason to be sure without bound"


def test_platt_rows_do_not_flatter() -> None:
    """A score that is pure noise: scaled by its own rows it looks calibrated; scaled by others it costs what it must."""
    generator = np.random.default_rng(0)
    score, right, fold = generator.normal(size=20), np.arange(20) < 10, np.arange(20) % 5
    slope, shift = platt(score, right)
    own = 1 / (1 + np.exp(-(slope * score + shift)))
    flattered = 2 * ((own - right) ** 2).mean()
    told = judged(score, right, fold)
    assert told["brier"] is not None
    assert told["brier"] > flattered
    assert told["auroc"] == pytest.approx(roc_auc_score(right, score))


def test_one_fold_teaches_nobody() -> None:
    points, right = planted(5, 0)
    with pytest.raises(BadInput, match="5 rows leave nothing to learn from; take more rows"):
        fit(points, right, np.zeros(5, dtype=np.int64), None, "here")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    root = tmp_path_factory.mktemp("knows")
    return House(recipe(write(root)), root)


def test_the_stage_knows_every_row_of_the_task(house: House) -> None:
    stage = knows_of(house.targets())
    table, whole = house.labels(stage), house.whole()
    assert set(table.ids) == set(whole.rows.ids)
    assert stage.on(house.world.part("test")) is stage
    for part in ("weak", "val", "strong", "test"):
        rows = house.rows(part)
        own = house.labels(stage.selves.on(house.world.part(part))).join(rows.ids, "here")  # type: ignore[arg-type]
        right = own.probs_NC.argmax(axis=1) == np.array(rows.labels)
        assert roc_auc_score(right, table.join(rows.ids, "here").probs_NC[:, 1]) > 0.75, part


def test_the_receipt_tells_what_held_out_rows_say(house: House) -> None:
    stage = knows_of(house.targets())
    told, rows = house.told(stage), house.rows("val")
    known = house.labels(stage).join(rows.ids, "here").probs_NC[:, 1]
    assert stage.val_selves is not None
    own = house.labels(stage.val_selves).join(rows.ids, "here")
    right = own.probs_NC.argmax(axis=1) == np.array(rows.labels)
    assert told["auroc"] == pytest.approx(roc_auc_score(right, known)), "scaling turns no order round"
    assert (told["val_n"], told["val_right"]) == (len(rows), right.mean())
    assert 0 < told["brier"] < 2 * 0.25
    assert 0 <= told["ece"] < 0.2
    half = house.rows("weak")
    known = house.labels(stage).join(half.ids, "here").probs_NC[:, 1]
    right = house.labels(stage.selves).join(half.ids, "here").probs_NC.argmax(axis=1) == np.array(half.labels)
    assert told["n"] == len(half)
    assert told["auroc_weak_half"] == pytest.approx(roc_auc_score(right, known)), (
        "and its own rows are told out of fold"
    )


def test_rows_that_were_shown_teach_nothing(house: House) -> None:
    stage = knows_of(house.targets())
    house.made(stage)
    ids = sorted(house.rows("weak").ids)[:7]
    file = house.made(stage.selves) / SHOTS
    file.write_text(json.dumps(ids))
    try:
        told, _ = house.bench.run(stage)
    finally:
        file.unlink()
    assert (told["n"], told["shown"]) == (len(house.rows("weak")) - 7, 7)
    house.bench.run(stage)


def test_examples_of_a_prompt_teach_nothing_and_are_of_the_weak_half(tmp_path: Path) -> None:
    """A tiny decoder that is asked with four examples; and the truth of the strong half and test rows is nowhere in it."""
    told = toy_recipe(
        task={"kind": "toy", "size": 160, "n_test": 40}, method="naive", baselines=[],
        strong={"model": {"source": "tiny:llama", "width": 16}, "probe": {"l2": 0.1}, "max_tokens": 256},
    )  # fmt: skip
    told["weak"] = {"model": {"source": "tiny:bert", "width": 8, "depth": 1}, "probe": {"l2": 0.1}, "evaluate": "never"}
    honest = House(Recipe.model_validate(told), tmp_path / "honest")
    targets = honest.targets(prompt={"words": ["0", "1"], "template": "{text} "}, shots=4, tau=0.5)
    knows, half = knows_of(targets), honest.rows("weak")
    facts = honest.told(knows)
    assert (facts["shown"], facts["n"]) == (4, len(half) - 4)
    assert shown(honest.made(knows.selves)) < set(half.ids)
    liar = lying(honest, tmp_path / "liar")
    before, after = (there.labels(targets) for there in (honest, liar))
    np.testing.assert_array_equal(after.join(before.ids, "here").probs_NC, before.probs_NC)


def test_no_rows_place_in_a_file_decides(house: House, tmp_path: Path) -> None:
    before, after = (there.labels(knows_of(there.targets())) for there in (house, turned(house, tmp_path)))
    assert before.ids == after.ids
    np.testing.assert_array_equal(after.probs_NC, before.probs_NC)
