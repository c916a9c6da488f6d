"""Guesses of several classes hold the weak labels' shares, and are the likeliest guesses that do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.w2s.losses.batches import Array, agrees_with_finite_differences, cross_entropy, gradient, rows, score
from w2s.loss import statistics
from w2s.losses._matching import cut, offsets
from w2s.losses.confidence import Config, guesses
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=15)
SEEDS = st.integers(0, 10_000)
CLASSES = st.integers(3, 10)
SIZES = st.sampled_from([8, 11, 32, 100, 512])
SHAPES = ["spread", "one-direction", "biased", "heavy", "bf16"]


def predictions(shape: str, seed: int, n: int, classes: int) -> torch.Tensor:
    """Logits of a student that is: ordinary; almost one-dimensional; far from the prior; of very unequal rows; rounded."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes))
    if shape == "one-direction":
        z = 2 * rng.normal(size=(n, 1)) * rng.normal(size=(1, classes)) + 0.01 * z
    elif shape == "biased":
        z = 0.1 * z + 5 * rng.normal(size=(1, classes))
    elif shape == "heavy":
        z = z * np.exp(3 * rng.normal(size=(n, 1)))
    else:
        z = 3 * z
    return torch.tensor(z).bfloat16().double() if shape == "bf16" else torch.tensor(z)


def excess(logits: torch.Tensor, target: torch.Tensor, config: Config | None = None) -> Array:
    """Rows too many (or too few, below 0) of each class among the guesses."""
    config = config or Config()
    found = statistics(config, logits, target, torch.ones(len(logits)))
    hard = guesses(config, logits, found)
    assert (hard.sum(-1) == 1).all()
    return (hard.sum(0) - target.mean(0) * len(logits)).numpy()


@pytest.mark.parametrize("shape", SHAPES)
@QUICK
@given(seed=SEEDS, n=SIZES, classes=CLASSES)
def test_every_share_is_right_to_a_row(shape, seed, n, classes):
    """Without ties within one row, and the best rounding to whole rows; rounded logits, which tie now and then, within two."""
    _, target = rows(seed, n, classes)
    off = excess(predictions(shape, seed, n, classes), target)
    if shape == "bf16":
        assert np.abs(off).max() <= 2
    else:
        assert np.abs(off).max() < 1
        assert off.max() - off.min() <= 1 + 1e-9


@pytest.mark.parametrize("shape", ["spread", "one-direction", "biased", "heavy"])
@QUICK
@given(seed=SEEDS, n=st.sampled_from([8, 32, 64]), classes=CLASSES)
def test_they_are_the_likeliest_guesses_with_these_shares(shape, seed, n, classes):
    """An assignment solver that knows nothing of offsets, given the same counts, finds the same guesses."""
    logits, (_, target) = predictions(shape, seed, n, classes), rows(seed, n, classes)
    hard = guesses(Config(), logits, statistics(Config(), logits, target, torch.ones(n))).numpy()
    log_p = logits.log_softmax(-1).numpy()
    slots = np.repeat(np.arange(classes), hard.sum(axis=0).astype(int))
    row, slot = linear_sum_assignment(log_p[:, slots], maximize=True)
    assert (slots[slot][np.argsort(row)] == hard.argmax(axis=1)).all()


@QUICK
@given(seed=SEEDS, n=st.integers(1, 40))
def test_two_classes_by_offsets_are_two_classes_by_the_cut(seed, n):
    logits, target = rows(seed, n)
    share, prior = torch.full((n,), 1 / n, dtype=torch.float64), target.mean(0)
    by_offsets = (logits + offsets(logits, share, prior)).argmax(-1)
    margin = logits[:, 1] - logits[:, 0]
    by_cut = (margin > cut(margin, share, prior[1])).long()
    off = [abs(found.double().mean().item() - prior[1].item()) for found in (by_offsets, by_cut)]
    assert off[0] == pytest.approx(off[1], abs=1e-12)
    assert torch.equal(by_offsets, by_cut)


@QUICK
@given(seed=SEEDS, n=st.sampled_from([8, 32, 100]), classes=CLASSES)
def test_rows_may_count_for_less(seed, n, classes):
    """Shares by weight are right to about the heaviest row's; the prior is the labels' mean by weight."""
    logits, target = rows(seed, n, classes)
    weight = torch.tensor(np.random.default_rng(seed).uniform(0.05, 1, size=n))
    found = statistics(Config(), logits, target, weight)
    share = weight / weight.sum()
    torch.testing.assert_close(found["prior"], share @ target)
    off = share @ guesses(Config(), logits, found).double() - share @ target
    assert off.abs().max() <= share.max()


@QUICK
@given(seed=SEEDS, classes=CLASSES, pads=st.integers(1, 20))
def test_neither_padding_nor_order_changes_a_guess(seed, classes, pads):
    (logits, target), (others, labels) = rows(seed, 24, classes), rows(seed + 1, pads, classes, scale=1e4)
    alone = guesses(Config(), logits, statistics(Config(), logits, target, torch.ones(24)))
    order = torch.randperm(24 + pads, generator=torch.Generator().manual_seed(seed))
    weight = torch.cat([torch.ones(24), torch.zeros(pads)])
    mixed = statistics(Config(), torch.cat([logits, others])[order], torch.cat([target, labels])[order], weight[order])
    assert torch.equal(guesses(Config(), logits, mixed), alone)


@QUICK
@given(seed=SEEDS, classes=CLASSES)
def test_guesses_survive_other_rounding(seed, classes):
    logits, target = rows(seed, 32, classes)
    found = statistics(Config(), logits, target, torch.ones(32))
    noise = 1e-9 * torch.randn(32, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert torch.equal(guesses(Config(), logits + noise, found), guesses(Config(), logits, found))


@QUICK
@given(seed=SEEDS, classes=CLASSES, copies=st.integers(2, 4))
def test_equal_rows_get_equal_guesses_and_cost_no_more_than_their_number(seed, classes, copies):
    logits, target = rows(seed, 20, classes)
    many, labels = logits.repeat(copies, 1), target.repeat(copies, 1)
    hard = guesses(Config(), many, statistics(Config(), many, labels, torch.ones(20 * copies)))
    assert torch.equal(hard, hard[:20].repeat(copies, 1))
    assert np.abs(excess(many, labels)).max() < copies


def test_a_zero_head_gives_all_the_class_with_the_largest_share():
    logits, target = torch.zeros(32, 3), torch.tensor([[0.3, 0.2, 0.5]] * 32)
    assert np.allclose(excess(logits, target), 32 * np.array([-0.3, -0.2, 0.5]), atol=1e-4)


def test_a_class_that_no_label_speaks_for_is_never_guessed():
    logits, _ = rows(3, 40, 4)
    logits[:, 2] += 50
    target = torch.tensor([[0.5, 0.25, 0.0, 0.25]] * 40, dtype=torch.float64)
    assert np.abs(excess(logits, target)).max() < 1e-9


def test_certain_labels_and_extreme_predictions():
    logits = 1e4 * torch.sign(rows(4, 60, 5)[0])
    logits = logits + rows(5, 60, 5)[0]
    target = torch.nn.functional.one_hot(rows(6, 60, 5)[1].argmax(-1), 5).double()
    assert np.abs(excess(logits, target)).max() < 1e-9


def test_prior_half_means_all_classes_alike():
    logits, target = rows(7, 30, 5)
    config = Config(prior="half")
    hard = guesses(config, logits, statistics(config, logits, target, torch.ones(30)))
    assert (hard.sum(0) == 6).all()


@QUICK
@given(seed=SEEDS, classes=CLASSES, alpha=st.floats(0, 1))
def test_value_and_gradient(seed, classes, alpha):
    logits, target = rows(seed, 24, classes)
    config = Config(alpha=alpha)
    hard = guesses(config, logits, statistics(config, logits, target, torch.ones(24)))
    z, t, mixed = logits.numpy(), target.numpy(), (1 - alpha) * target + alpha * hard
    expected = (1 - alpha) * cross_entropy(t, z) + alpha * cross_entropy(hard.numpy(), z)
    np.testing.assert_allclose(score(config, logits, target).numpy(), expected, rtol=1e-9)
    torch.testing.assert_close(gradient(config, logits, target), logits.softmax(-1) - mixed)


def test_gradient_agrees_with_finite_differences():
    assert agrees_with_finite_differences(Config(), *rows(8, 8, 3))


def test_alpha_zero_is_cross_entropy_bit_for_bit():
    logits, target = rows(9, classes=4)
    assert torch.equal(score(Config(alpha=0), logits, target), score(Xent(), logits, target))


def test_likeliest_classes_alone_hold_no_shares():
    """Guards the tests above: without a prior the shares are visibly others."""
    logits, target = predictions("biased", 0, 100, 4), rows(0, 100, 4)[1]
    off = guesses(Config(variant="argmax"), logits, None).sum(0) - 100 * target.mean(0)
    assert off.abs().max() > 30
