"""Gain and misfit: equal to machine precision where theory says equal, bounded where it says bounded."""

from __future__ import annotations

import numpy as np
import pytest

from w2s.bench_theory.misfit import entropy, squared
from w2s.bench_theory.misfit.config import Entropy, Regression, Setting, Squared
from w2s.bench_theory.misfit.entropy import FORWARD, LOGISTIC, MIXTURE, divergences, kl, logit, sigmoid
from w2s.bench_theory.misfit.outcomes import Outcome
from w2s.bench_theory.misfit.representations import begin, outcomes, perturbed, represent
from w2s.bench_theory.misfit.squared import CONE, LINEAR, onto_cone, onto_span
from w2s.bench_theory.spread import line

SEEDS = (0, 1, 2)


def gaps(found: list[Outcome]) -> np.ndarray:
    """Gain less misfit, in parts of the weak error."""
    return np.array([(one.gain - one.misfit) / one.weak for one in found])


@pytest.mark.parametrize("seed", SEEDS)
def test_projections_gain_their_misfit_to_machine_precision(seed: int) -> None:
    found = squared.outcomes(Squared(), seed)
    assert abs(gaps(found[LINEAR])).max() < 1e-12
    assert gaps(found[CONE]).min() > -1e-12
    assert (gaps(found[CONE]) > 1e-6).any(), "the bound is strict somewhere, or the cone is a subspace"
    assert all(one.gain > 0 and one.misfit > 0 for one in found[LINEAR])


def test_projections_are_the_nearest_points() -> None:
    generator = np.random.default_rng(0)
    x, f = generator.standard_normal((60, 5)), generator.standard_normal(60)
    for project, weights in ((onto_span, generator.standard_normal((50, 5))), (onto_cone, generator.random((50, 5)))):
        nearest = np.sum((project(x, f) - f) ** 2)
        assert all(np.sum((x @ w - f) ** 2) >= nearest for w in weights)


@pytest.mark.parametrize("seed", SEEDS)
def test_mixtures_gain_at_least_their_reverse_misfit(seed: int) -> None:
    found = entropy.outcomes(Entropy(tasks=10), seed)
    assert gaps(found[MIXTURE]).min() > -1e-6
    assert sum(one.gain for one in found[LOGISTIC]) == pytest.approx(
        sum(one.misfit for one in found[LOGISTIC]), rel=0.08
    )
    assert (gaps(found[FORWARD]) < -1e-3).any(), "cross-entropy breaks the bound that reverse KL keeps"


def test_reverse_students_are_nearest_in_their_own_divergence() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((300, 4))
    weak = sigmoid(2 * np.tanh(x[:, 0] * x[:, 1]) + x[:, 2])
    forward = sigmoid(x @ entropy.nearest_logistic(x, weak, forward=True))
    reverse = sigmoid(x @ entropy.nearest_logistic(x, weak, forward=False))
    assert kl(reverse, weak).mean() < kl(forward, weak).mean()
    assert kl(weak, forward).mean() < kl(weak, reverse).mean()
    assert np.allclose(sigmoid(logit(weak)), weak, rtol=1e-12)
    same = divergences(weak, forward, forward)
    assert same.misfit == same.gain == 0


@pytest.mark.parametrize("setting", ["realizable", "perturbed"])
def test_the_regression_lies_near_the_diagonal(setting: Setting) -> None:
    settings = Regression(pretrain_steps=100, n_pretrain=200, tasks=15, n=400, n_test=800)
    tasks = [outcomes(settings, setting, seed) for seed in SEEDS]
    gain, misfit = (np.array([[getattr(one, name) for one in found] for found in tasks]) for name in ("gain", "misfit"))
    found = line(gain, misfit)
    assert found is not None
    assert found.correlation.mean > 0.8
    assert found.ratio.low is not None
    assert found.ratio.low < found.ratio.mean < found.ratio.high
    assert 0.6 < found.ratio.mean < 1.15
    assert (gain > 0).mean() > 0.8


def test_pretraining_teaches_both_representations() -> None:
    small = {"inputs": 4, "outputs": 4, "hidden": 8, "weak_hidden": 8, "pretrain_lr": 0.01}
    settings = Regression(pretrain_steps=150, n_pretrain=200, tasks=4, n=300, n_test=300, **small)
    heard: list[tuple[int, int]] = []
    taught = outcomes(settings, "pretrained", 0, lambda done, total: heard.append((done, total)))
    untaught = outcomes(settings.model_copy(update={"pretrain_lr": 1e-9}), "pretrained", 0)
    for side in ("weak", "student"):
        after, before = (np.mean([getattr(one, side) for one in found]) for found in (taught, untaught))
        assert after < 0.7 * before, side
    assert heard[0] == (0, 300)
    assert heard[-1] == (299, 300), "two legs, one count"


def test_perturbing_by_nothing_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    layers = begin(Regression(), 3, 16, generator)
    x = represent(layers[:1], layers[0][:5, :8])
    assert x.shape == (5, 16)
    assert all((a == b).all() for a, b in zip(perturbed(layers, 0.0, generator), layers, strict=True))


# ---- the line through tasks


def test_a_line_through_tasks_is_the_least_squares_one() -> None:
    generator = np.random.default_rng(0)
    misfit = generator.random((4, 30))
    gain = 0.5 * misfit + 0.1 + 0.02 * generator.standard_normal((4, 30))
    found = line(gain, misfit)
    assert found is not None
    slope, intercept = np.polyfit(misfit.ravel(), gain.ravel(), 1)
    assert found.slope.mean == pytest.approx(slope)
    assert intercept == pytest.approx(0.1, abs=0.02)
    assert found.correlation.mean == pytest.approx(np.corrcoef(misfit.ravel(), gain.ravel())[0, 1])
    assert found.slope.low is not None
    assert found.slope.high is not None
    assert found.slope.low < 0.5 < found.slope.high
    assert line(np.ones((2, 3)), misfit[:2, :3]) is None


def test_one_seed_says_less_than_many() -> None:
    """Seeds that differ make the interval wide, though tasks within a seed agree."""
    generator = np.random.default_rng(0)
    misfit = np.tile(np.linspace(1, 2, 20), (4, 1))
    agreeing = misfit + 0.01 * generator.standard_normal((4, 20))
    parting = agreeing * np.array([[0.5], [0.9], [1.1], [1.5]])
    widths = []
    for gain in (agreeing, parting):
        found = line(gain, misfit)
        assert found is not None
        assert found.ratio.low is not None
        assert found.ratio.high is not None
        widths.append(found.ratio.high - found.ratio.low)
    assert widths[1] > 10 * widths[0]
