"""Labellers side by side, and made as sure as they are right: members survive the file and joins, temperatures fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.metrics import at_temperature, fit_temperature, log_loss
from w2s.recipe import Recipe
from w2s.stages import Calibrated, Combine, Crowd, Given, Labels, Part
from w2s.work.combine import SURE, combine, entropies
from w2s.work.table import RowTable, read_all


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Labels that came with the data: two labellers, one of them far too sure."""
    generator = np.random.default_rng(0)
    label = np.arange(300) % 2
    log_odds = 1.5 * (2 * label - 1) + generator.normal(size=300)
    columns = {name: 1 / (1 + np.exp(-scale * log_odds)) for name, scale in (("a", 1.0), ("b", 8.0))}
    np.savez(tmp_path / "v.npz", x=generator.normal(size=(300, 2)).astype(np.float32), label=label, **columns)
    data = toy_recipe(
        task={"kind": "features", "path": str(tmp_path / "v.npz")}, weak={"model": "given:a"},
        strong={"model": "features:x", "probe": {}}, method="naive", baselines=[], split={"val": 0.4, "weak": 0.5},
    )  # fmt: skip
    found = Bench(Recipe.model_validate(data), tmp_path)
    found.run(found.recipe.world(0).part("strong").rows)
    return found


def rows(bench: Bench, part: Part) -> RowTable:
    whole = read_all(bench.out(part.rows))
    return whole.take(whole.places(part.json(by_content=False), ""))


def run(bench: Bench, stage: Labels) -> LabelTable:
    bench.prepare(stage)
    bench.run(stage)
    return LabelTable.load(bench.out(stage))


def test_members_stand_beside_their_mean(bench: Bench) -> None:
    part = bench.recipe.world(0).part("strong")
    both = tuple(Given(name, part) for name in "ab")
    crowd, each = run(bench, Crowd(both)), [run(bench, one) for one in both]
    assert crowd.members_NMC is not None
    assert crowd.members_NMC.shape == (len(crowd.ids), 2, 2)
    for m in range(2):
        np.testing.assert_array_equal(crowd.members_NMC[:, m], each[m].probs_NC)
    np.testing.assert_allclose(crowd.probs_NC, (each[0].probs_NC + each[1].probs_NC) / 2)
    turned = crowd.join(crowd.ids[::-1], "")
    np.testing.assert_array_equal(turned.everyone_NMC(), crowd.everyone_NMC()[::-1])
    np.testing.assert_array_equal(each[0].everyone_NMC(), each[0].probs_NC[:, None])


def test_a_calibrated_labeller_says_less_than_it_thinks(bench: Bench) -> None:
    world = bench.recipe.world(0)
    sure = Given("b", world.part("strong"))
    made = world.calibrate(sure)
    assert isinstance(made, Calibrated)
    found, before = run(bench, made), run(bench, sure)
    metrics, _ = bench.run(made)
    assert metrics["temperature"] > 2, "eight times as sure as it should be, and noisy"
    np.testing.assert_allclose(found.probs_NC, at_temperature(before.probs_NC, metrics["temperature"]))
    np.testing.assert_array_equal(found.probs_NC.argmax(1), before.probs_NC.argmax(1))


def test_a_verdict_of_calibrated_members_is_better_told_than_the_raw_mean(bench: Bench) -> None:
    world = bench.recipe.world(0)
    both = [Given(name, world.part("test")) for name in "ab"]
    raw, fair = run(bench, Combine(tuple(both))), run(bench, Combine(tuple(world.calibrate(one) for one in both)))
    there = rows(bench, world.part("test"))
    true_N = np.array(there.labels)
    raw_NC, fair_NC = (one.join(there.ids, "").probs_NC for one in (raw, fair))
    assert log_loss(fair_NC, true_N) < log_loss(raw_NC, true_N)


def test_entropy_weights_by_the_formula() -> None:
    probs_MNC = np.array([[[0.9, 0.1], [0.5, 0.5]], [[0.6, 0.4], [0.2, 0.8]]])
    weight_MN = 1 / (-(probs_MNC * np.log(probs_MNC)).sum(-1) + SURE)
    wanted = (probs_MNC * (weight_MN / weight_MN.sum(0))[..., None]).sum(0)
    found, logits = combine(probs_MNC, np.log(probs_MNC), "entropy")
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_allclose(np.exp(logits), found)
    assert found[0, 0] > probs_MNC[:, 0, 0].mean(), "the surer counts for more"


def test_the_surest_of_all_does_not_silence_the_others() -> None:
    probs_MNC = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.5]]])
    found, _ = combine(probs_MNC, np.log(np.clip(probs_MNC, 1e-12, None)), "entropy")
    np.testing.assert_allclose(found, [[0.5, 0.5]], atol=1e-9)
    np.testing.assert_allclose(entropies(probs_MNC)[:, 0], [0, 0, np.log(2)], atol=1e-9)


def test_a_temperature_is_fitted_on_held_out_rows_alone(bench: Bench) -> None:
    world = bench.recipe.world(0)
    sure = Given("b", world.part("strong"))
    made = world.calibrate(sure)
    assert isinstance(made, Calibrated)
    run(bench, made)
    held = LabelTable.load(bench.out(made.held_out))
    there = rows(bench, made.val)
    metrics, _ = bench.run(made)
    assert metrics["temperature"] == fit_temperature(held.join(there.ids, "").probs_NC, np.array(there.labels))
    assert metrics["held_out"] == len(there)
