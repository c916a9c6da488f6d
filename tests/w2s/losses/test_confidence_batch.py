"""The confidence loss knows the global batch: however it is cut, padded, ordered and weighed, the loss is the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import score
from tests.w2s.losses.batches import uneven_rows as rows
from w2s.loss import compute, statistics
from w2s.losses.confidence import Config, guesses

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)
LATE = 0.9  # past every warm-up used here


def loss_and_gradient(config, logits, target, weight, sizes, *, per_piece=False):
    """Weighted mean loss over pieces of the given sizes, and its gradient in the logits."""
    logits = logits.clone().requires_grad_()
    found = statistics(config, logits, target, weight)
    total = 0.0
    for z, t, w in zip(logits.split(sizes), target.split(sizes), weight.split(sizes), strict=True):
        known = statistics(config, z, t, w) if per_piece else found
        part = (w * compute(config, z, t, LATE, known)).sum() / weight.sum()
        part.backward()
        total += part.item()
    return total, logits.grad


@pytest.mark.parametrize("variant", ["paper", "reference"])
@pytest.mark.parametrize("sizes", [[8] * 4, [1] * 32, [5, 27]])
def test_micro_batches_equal_the_whole_batch(variant, sizes):
    config, (logits, target) = Config(variant=variant), rows(7)
    weight = torch.ones(32, dtype=torch.float64)
    one, grad_one = loss_and_gradient(config, logits, target, weight, [32])
    many, grad_many = loss_and_gradient(config, logits, target, weight, sizes)
    assert many == pytest.approx(one, rel=1e-12)
    torch.testing.assert_close(grad_many, grad_one)


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_a_threshold_per_micro_batch_would_be_another_loss(variant):
    """Guards the tests above: the fault they are for must be visible to them."""
    config, (logits, target) = Config(variant=variant), rows(7)
    weight = torch.ones(32, dtype=torch.float64)
    right, grad_right = loss_and_gradient(config, logits, target, weight, [8] * 4)
    wrong, grad_wrong = loss_and_gradient(config, logits, target, weight, [8] * 4, per_piece=True)
    assert abs(right - wrong) > 1e-3
    assert (grad_right - grad_wrong).abs().max() > 1e-3


@pytest.mark.parametrize("size", [1, 8])
def test_a_prior_per_micro_batch_would_be_another_loss(size):
    """EleutherAI's prior is 0.5 for a micro-batch of one row, and the mean of 8 labels for 8, applied to 32 predictions."""
    config, (logits, _) = Config(), rows(7)
    w = torch.tensor([0.9] * 24 + [0.1] * 8, dtype=torch.float64)
    target = torch.stack([1 - w, w], dim=1)
    weight = torch.ones(32, dtype=torch.float64)
    _, grad_right = loss_and_gradient(config, logits, target, weight, [size] * (32 // size))
    p0, faulty = logits.softmax(-1)[:, 0], []
    for part in torch.arange(32).split(size):
        prior = 0.5 if size == 1 else w[part].mean()
        faulty.append((p0[part] < p0.quantile(torch.as_tensor(prior, dtype=p0.dtype))).double())
    wrong = torch.cat(faulty)
    mixed = (1 - config.alpha) * target + config.alpha * torch.stack([1 - wrong, wrong], dim=1)
    assert (grad_right - (logits.softmax(-1) - mixed) / 32).abs().max() > 1e-3
    whole_guess = guesses(config, logits, statistics(config, logits, target, weight))
    torch.testing.assert_close(
        grad_right, (logits.softmax(-1) - ((1 - config.alpha) * target + config.alpha * whole_guess)) / 32
    )
    assert whole_guess[:, 1].sum() == 22  # 0.7 of 32, to the nearest row
    assert wrong.sum() != 22


@QUICK
@given(seed=SEEDS, n=st.integers(1, 30), variant=st.sampled_from(["paper", "reference"]))
def test_rows_may_count_for_less(seed, n, variant):
    """The prior is the mean by weight; the guesses' share by weight is as near to it as any cut comes (`paper`)."""
    logits, target = rows(seed, n)
    weight = torch.tensor(np.random.default_rng(seed).uniform(0.01, 1, size=n))
    found = statistics(Config(variant=variant), logits, target, weight)
    part = (weight / weight.sum()).numpy()
    prior = (part * target[:, 1].numpy()).sum()
    assert found["prior"].item() == pytest.approx(prior)
    if variant == "paper":
        ones = guesses(Config(), logits, found)[:, 1].numpy()
        margin = (logits[:, 1] - logits[:, 0]).numpy()
        nearest = min(abs(part[margin > at].sum() - prior) for at in [-np.inf, *margin])
        assert abs((part * ones).sum() - prior) == pytest.approx(nearest, abs=1e-12)


@pytest.mark.parametrize("variant", ["paper", "reference"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_batch_of_which_no_row_counts_is_finite(variant, classes):
    config = Config(variant=variant if classes == 2 else "paper")
    logits, target = torch.randn(4, classes), torch.full((4, classes), 1 / classes)
    assert torch.isfinite(
        compute(config, logits, target, 0.5, statistics(config, logits, target, torch.zeros(4)))
    ).all()


@QUICK
@given(seed=SEEDS, variant=st.sampled_from(["paper", "reference"]), pads=st.integers(1, 20))
def test_padding_rows_change_nothing(seed, variant, pads):
    config, (logits, target), (pad_logits, pad_target) = Config(variant=variant), rows(seed), rows(seed + 1, pads)
    alone = statistics(config, logits, target, torch.ones(32))
    order = torch.randperm(32 + pads, generator=torch.Generator().manual_seed(seed))
    mixed = [
        torch.cat(pair)[order]
        for pair in ((logits, pad_logits), (target, pad_target), (torch.ones(32), torch.zeros(pads)))
    ]
    padded = statistics(config, *mixed)
    for name, value in alone.items():
        torch.testing.assert_close(padded[name], value)


@QUICK
@given(seed=SEEDS, variant=st.sampled_from(["paper", "reference"]))
def test_the_order_of_rows_changes_nothing(seed, variant):
    config, (logits, target) = Config(variant=variant), rows(seed)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(score(config, logits[order], target[order]), score(config, logits, target)[order])


@QUICK
@given(seed=SEEDS)
def test_a_row_of_weight_two_counts_as_two_rows(seed):
    logits, target = rows(seed)
    weight = torch.ones(32)
    weight[:5] = 2
    once = statistics(Config(), logits, target, weight)
    twice = statistics(Config(), torch.cat([logits, logits[:5]]), torch.cat([target, target[:5]]), torch.ones(37))
    torch.testing.assert_close(once["prior"], twice["prior"])


def test_guesses_survive_other_rounding():
    """The cut lies between two rows, so recomputing the logits with another micro-batch flips no guess."""
    config, (logits, target) = Config(), rows(11)
    found = statistics(config, logits, target, torch.ones(32))
    noise = 1e-7 * torch.randn(32, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(guesses(config, logits + noise, found), guesses(config, logits, found))


def test_saturated_predictions_are_still_told_apart():
    logits = torch.stack([torch.zeros(8), 200.0 + torch.arange(8)], dim=1)  # P(class 1) rounds to 1 for all
    target = torch.tensor([[0.5, 0.5]] * 8)
    found = statistics(Config(), logits, target, torch.ones(8))
    assert guesses(Config(), logits, found)[:, 1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
