"""The linear and the nonlinear CNN: the gradient, what the weak model cannot see, and both regimes, seed by seed."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from w2s.bench_theory.cnn import strong, weak
from w2s.bench_theory.cnn.config import Point
from w2s.bench_theory.cnn.curve import Curve
from w2s.bench_theory.cnn.data import BOTH, EASY, HARD, Items, draw, draw_each
from w2s.bench_theory.cnn.simulate import recorded, signs, simulate
from w2s.bench_theory.cnn.strong import Filters

SEEDS = (0, 1, 2)
TINY = Point(dims=30, easy_norm=3.0, hard_norm=2.0, filters=3)
QUICK = {"n_weak": 800, "weak_steps": 100, "n_test": 500, "records": 12}
ABUNDANT = Point(n_strong=3000, dims=150, lr=0.25, steps=250, **QUICK)
BENIGN = Point(n_strong=200, dims=3000, hard_norm=12.0, steps=60, **QUICK)
HARMFUL = BENIGN.model_copy(update={"n_strong": 75, "hard_norm": 2.0})


@cache
def run(point: Point, seed: int) -> Curve:
    return simulate(point, seed)


def items(point: Point, count: int, seed: int = 0) -> Items:
    return draw(point, count, np.random.default_rng(seed))


def double(drawn: Items) -> Items:
    found = {field.name: getattr(drawn, field.name) for field in dataclasses.fields(drawn)}
    return Items(**{name: value.double() if value.is_floating_point() else value for name, value in found.items()})


def naive_output(filters: Filters, drawn: Items, item: int) -> float:
    """f of one item, patch by patch, as the model is written down."""
    second = len(drawn) + item
    patches = [
        (drawn.signals_V4[drawn.easy_N[item]], torch.zeros(drawn.noise_PD.shape[1])),
        (drawn.signals_V4[drawn.hard_N[item]], torch.zeros(drawn.noise_PD.shape[1])),
        (torch.zeros(4), drawn.noise_PD[item]),
    ]
    if second < len(drawn.noise_PD):
        patches.append((torch.zeros(4), drawn.noise_PD[second]))
    w_R = torch.cat([filters.signal_R4, filters.noise_RD], dim=1).double()
    half, total = len(w_R) // 2, 0.0
    for signal_4, noise_D in patches:
        lit_R = (w_R @ torch.cat([signal_4, noise_D]).double()).relu()
        total += float(lit_R[:half].sum() - lit_R[half:].sum()) / half
    return total


# ---- data


def test_items_have_the_patches_of_their_type() -> None:
    drawn = items(TINY, 400)
    has_easy, has_hard = drawn.easy_N > 0, drawn.hard_N > 0
    assert torch.equal(has_easy, drawn.type_N != HARD)
    assert torch.equal(has_hard, drawn.type_N != EASY)
    assert len(drawn.noise_PD) == 400 + int((drawn.type_N != BOTH).sum())
    signal_N4 = drawn.signals_V4[drawn.easy_N] + drawn.signals_V4[drawn.hard_N]
    positive = drawn.truth_N > 0
    assert set(signal_N4[positive & has_easy][:, 0].tolist()) == {3.0}
    assert signal_N4[positive][:, [1, 3]].abs().max() == 0, "a label has signals of its own"
    assert set(signal_N4[positive & has_hard][:, 2].tolist()) == {2.0, -2.0}, "the hard signal's sign is a coin's"
    counts = torch.bincount(drawn.type_N) / 400
    assert np.allclose(counts, [TINY.p_easy, TINY.p_hard, TINY.p_both], atol=0.08)


def test_sums_over_patches_and_their_transpose_agree() -> None:
    drawn = items(TINY, 50)
    generator = torch.Generator().manual_seed(0)
    signal_V = torch.randn(7, generator=generator)
    noise_P, item_N = (torch.randn(len(part), generator=generator) for part in (drawn.noise_PD, drawn))
    there = (drawn.over_patches(signal_V, noise_P) * item_N).sum()
    back_V, back_P = drawn.to_patches(item_N)
    assert float(there) == pytest.approx(float(signal_V @ back_V + noise_P @ back_P), rel=1e-4)


# ---- the models


def test_the_strong_model_is_what_it_says() -> None:
    drawn = items(TINY, 20)
    filters = strong.begin(TINY.model_copy(update={"init": 0.3}), np.random.default_rng(1))
    expected = [naive_output(filters, drawn, item) for item in range(len(drawn))]
    assert np.allclose(filters.outputs(drawn), expected, atol=1e-4)


def test_the_gradient_agrees_with_finite_differences() -> None:
    drawn = double(items(TINY, 25))
    begun = strong.begin(TINY.model_copy(update={"init": 0.3}), np.random.default_rng(1))
    filters = Filters(begun.signal_R4.double(), begun.noise_RD.double())
    labels_N = signs(torch.from_numpy(np.random.default_rng(2).standard_normal(25))).double()
    found = strong.slope(filters, drawn, labels_N)
    for name in ("signal_R4", "noise_RD"):
        weights, gradient = getattr(filters, name), getattr(found.gradient, name)
        for row, column in [(0, 0), (1, 2), (2, 3), (3, 1), (5, 2)]:
            bumped = weights.clone()
            bumped[row, column] += 1e-6
            rise = strong.slope(dataclasses.replace(filters, **{name: bumped}), drawn, labels_N).loss - found.loss
            assert rise / 1e-6 == pytest.approx(float(gradient[row, column]), abs=2e-6)


def test_the_weak_model_has_exactly_half_of_turned_pairs_right() -> None:
    """Proposition 2.1, whatever its weights: a hard-only item turned around has the same label and the other sign of f."""
    hard = TINY.model_copy(update={"p_hard": 1.0, "p_both": 0.0})
    drawn = items(hard, 300)
    turned = dataclasses.replace(
        drawn, hard_N=torch.tensor([0, 0, 0, 4, 3, 6, 5])[drawn.hard_N], noise_PD=-drawn.noise_PD
    )
    for model in (weak.train(items(TINY, 500), TINY), weak.train(items(hard, 500), hard)):
        f_N, turned_N = model.outputs(drawn), model.outputs(turned)
        assert torch.equal(f_N, -turned_N)
        right = (signs(f_N) == drawn.truth_N).float() + (signs(turned_N) == drawn.truth_N).float()
        assert set(right.tolist()) == {1.0}


def test_a_strong_model_can_see_what_the_weak_one_cannot() -> None:
    """Two filters a class, one for each sign of the hard signal, and both easy signals: no test item is wrong (Prop. 2.2)."""
    found = draw_each(TINY, 200, np.random.default_rng(0))
    signal_R4 = torch.tensor([[1.0, 0, 1, 0], [1, 0, -1, 0], [0, 1, 0, 1], [0, 1, 0, -1]])
    filters = Filters(signal_R4, torch.zeros(4, TINY.dims))
    assert torch.equal(signs(filters.outputs(found)), found.truth_N)


# ---- the regimes, for each of several seeds


@pytest.mark.parametrize("seed", SEEDS)
def test_the_weak_model_guesses_on_hard_items_alone(seed: int) -> None:
    scores = run(ABUNDANT, seed).weak
    assert 0.45 <= scores["test_hard"] <= 0.55
    assert min(scores["test_easy"], scores["test_both"]) > 0.99
    assert scores["flipped_hard_only"] > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_with_many_items_labels_are_corrected_then_learned_by_heart(seed: int) -> None:
    records = run(ABUNDANT, seed).records
    best = max(records, key=lambda record: record["test"])
    assert best["test"] >= 0.97
    assert best["step"] < 50
    assert best["flipped_as_truth"] > 0.85
    assert best["kept_as_labelled"] > 0.99
    last = records[-1]
    assert last["test"] <= 0.9
    assert last["flipped_as_truth"] < 0.35
    assert last["noise_flipped"] > 1.5 * last["noise_kept"], "wrong labels are held by noise"


@pytest.mark.parametrize("seed", SEEDS)
def test_with_few_items_all_labels_are_fitted_for_good_or_harm(seed: int) -> None:
    benign, harmful = run(BENIGN, seed), run(HARMFUL, seed)
    assert benign.records[-1]["train_labels"] == harmful.records[-1]["train_labels"] == 1.0
    assert benign.records[-1]["test"] > benign.weak["test"] + 0.03
    assert 1 - harmful.records[-1]["test"] >= 0.12 * HARMFUL.p_hard
    assert harmful.records[-1]["test"] < harmful.weak["test"] + 0.03
    assert harmful.records[-1]["test_hard"] < 0.62 < benign.records[-1]["test_hard"]


def test_more_items_have_a_higher_peak() -> None:
    peaks = [
        [max(record["test"] for record in run(point, seed).records) for seed in SEEDS]
        for point in (HARMFUL, BENIGN, ABUNDANT)
    ]
    means = [float(np.mean(found)) for found in peaks]
    assert means[0] + 0.05 < means[1] < means[2]


def test_without_items_of_both_signals_nothing_is_gained() -> None:
    control = ABUNDANT.model_copy(update={"p_both": 0.0, "steps": 40})
    gains = [run(control, seed).records[-1]["test"] - run(control, seed).weak["test"] for seed in SEEDS]
    assert abs(float(np.mean(gains))) < 0.03
    with_both = run(ABUNDANT, 0)
    assert max(record["test"] for record in with_both.records) - with_both.weak["test"] > 0.1


def test_the_same_seed_draws_the_same_whatever_is_trained_on_it() -> None:
    point = Point(dims=40, n_weak=60, weak_steps=5, n_strong=50, steps=3, n_test=20)
    assert simulate(point, 0) == simulate(point, 0) != simulate(point, 1)
    more = simulate(point.model_copy(update={"n_strong": 100}), 0)
    assert more.weak["test"] == simulate(point, 0).weak["test"]


@pytest.mark.parametrize("steps,most", [(1, 2), (100, 2), (100, 3), (250, 24), (5, 24)])
def test_measured_steps_begin_and_end_with_the_run(steps: int, most: int) -> None:
    found = recorded(steps, most)
    assert (found[0], found[-1]) == (0, steps)
    assert found == sorted(set(found))
    assert len(found) <= max(most, 2)
