"""Reverse cross-entropy, alone and inside the symmetric loss: value, gradient, smoothing, and what log 0 counts as."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import (
    agrees_with_finite_differences,
    cross_entropy,
    gradient,
    logit,
    rows,
    score,
    softmax,
)
from w2s.losses.reverse_xent import Config
from w2s.losses.symmetric import Config as Symmetric
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


def reverse(z: np.ndarray, t: np.ndarray, eps: float) -> np.ndarray:
    return -(softmax(z) * np.log((1 - eps) * t + eps / t.shape[1])).sum(axis=1)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), eps=st.floats(0, 0.9))
def test_value(seed, classes, eps):
    logits, target = rows(seed, classes=classes)
    found = score(Config(eps=eps), logits, target).numpy()
    np.testing.assert_allclose(found, reverse(logits.numpy(), target.numpy(), eps), rtol=1e-9)


@QUICK
@given(seed=SEEDS, eps=st.floats(0, 0.9))
def test_gradient_of_two_classes(seed, eps):
    """In the logit of class 1: -f (1 - f) logit(w')."""
    logits, target = rows(seed)
    f, w = softmax(logits.numpy())[:, 1], (1 - eps) * target[:, 1].numpy() + eps / 2
    found = gradient(Config(eps=eps), logits, target).numpy()
    np.testing.assert_allclose(found[:, 1], -f * (1 - f) * logit(w), atol=1e-12)
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=1e-12)


@QUICK
@given(seed=SEEDS, classes=st.integers(3, 6))
def test_gradient_of_more_classes(seed, classes):
    logits, target = rows(seed, classes=classes)
    p, log_w = softmax(logits.numpy()), np.log(target.numpy())
    expected = -p * (log_w - (p * log_w).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(gradient(Config(), logits, target).numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("config", [Config(), Config(eps=0.1), Symmetric(), Symmetric(eps=0.2, alpha=0.3, beta=2)])
def test_gradient_agrees_with_finite_differences(config):
    assert agrees_with_finite_differences(config, *rows(1, 5, 3))


def test_an_even_label_does_not_push_and_a_sure_student_is_not_pushed():
    logits, _ = rows(2)
    even = torch.full((16, 2), 0.5, dtype=torch.float64)
    assert gradient(Config(), logits, even).abs().max() < 1e-15
    sure, wrong = torch.tensor([[30.0, -30.0]]).double(), torch.tensor([[0.2, 0.8]]).double()
    assert gradient(Config(), sure, wrong).abs().max() < 1e-20
    assert gradient(Xent(), sure, wrong).abs().max() > 0.5


def test_log_zero_counts_as_minus_100_unless_said_otherwise():
    logits, certain = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert score(Config(), logits, certain).item() == pytest.approx(50)
    assert score(Symmetric(alpha=0, beta=1, log_zero=-4), logits, certain).item() == pytest.approx(2)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), alpha=st.floats(0, 3), beta=st.floats(0, 3), eps=st.floats(0, 0.9))
def test_symmetric_is_the_sum_of_its_parts(seed, classes, alpha, beta, eps):
    logits, target = rows(seed, classes=classes)
    z, t = logits.numpy(), target.numpy()
    expected = alpha * cross_entropy(t, z) + beta * reverse(z, t, eps)
    found = score(Symmetric(alpha=alpha, beta=beta, eps=eps), logits, target)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_symmetric_with_one_part_is_that_part():
    logits, target = rows(3, classes=4)
    assert torch.equal(score(Symmetric(beta=0), logits, target), score(Xent(), logits, target))
    assert torch.equal(score(Symmetric(alpha=0, beta=1), logits, target), score(Config(), logits, target))


def test_defaults_are_the_published_mixture():
    assert (Symmetric().alpha, Symmetric().beta, Symmetric().eps) == (1.0, 0.1, 0.0)
