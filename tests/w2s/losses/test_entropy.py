"""The entropy loss pushes the student to be sure: its entropy has a gradient, of the right sign."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import (
    agrees_with_finite_differences,
    cross_entropy,
    gradient,
    log_softmax,
    rows,
    score,
    softmax,
)  # fmt: skip
from w2s.losses.entropy import Config
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


def entropy(z: np.ndarray) -> np.ndarray:
    return -(softmax(z) * log_softmax(z)).sum(axis=1)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), alpha=st.floats(0, 1), progress=st.floats(0, 0.99))
def test_value(seed, classes, alpha, progress):
    logits, target = rows(seed, classes=classes)
    a = alpha * min(1, progress / 0.2)
    expected = (1 - a) * cross_entropy(target.numpy(), logits.numpy()) + a * entropy(logits.numpy())
    np.testing.assert_allclose(score(Config(alpha=alpha), logits, target, progress).numpy(), expected, rtol=1e-9)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), alpha=st.floats(0, 1))
def test_gradient_closed_form(seed, classes, alpha):
    logits, target = rows(seed, classes=classes)
    z, p = logits.numpy(), softmax(logits.numpy())
    expected = (1 - alpha) * (p - target.numpy()) - alpha * p * (log_softmax(z) + entropy(z)[:, None])
    np.testing.assert_allclose(gradient(Config(alpha=alpha), logits, target).numpy(), expected, atol=1e-12)


def test_gradient_agrees_with_finite_differences():
    assert agrees_with_finite_differences(Config(), *rows(1, 5, 3))


def test_it_is_not_the_released_one_that_takes_the_prediction_as_a_fixed_target():
    """With the prediction detached, CE((1 - a) w + a p, p) has the gradient of cross-entropy times 1 - a, and no more."""
    logits, target = rows(5)
    leaf = logits.clone().requires_grad_()
    log_p = leaf.log_softmax(-1)
    released = -((0.5 * target + 0.5 * log_p.exp().detach()) * log_p).sum()
    (cut_off,) = torch.autograd.grad(released, leaf)
    torch.testing.assert_close(cut_off, 0.5 * gradient(Xent(), logits, target))  # the fault, as it is
    assert (gradient(Config(), logits, target) - cut_off).abs().max() > 0.05


def test_a_step_makes_an_undecided_label_surer_not_less_sure():
    """The printed sign, p log p, would make it less sure."""
    logits, even = rows(6), torch.full((16, 2), 0.5, dtype=torch.float64)
    before = entropy(logits[0].numpy())
    after = entropy((logits[0] - 0.1 * gradient(Config(alpha=1.0), logits[0], even)).numpy())
    assert (after < before).all()


def test_alpha_zero_and_the_first_step_are_cross_entropy():
    logits, target = rows(7, classes=3)
    assert torch.equal(score(Config(alpha=0), logits, target), score(Xent(), logits, target))
    assert torch.equal(score(Config(), logits, target, 0.0), score(Xent(), logits, target))
