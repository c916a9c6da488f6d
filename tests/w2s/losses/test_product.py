"""The product loss teaches the normalised product of label and prediction, and its warm-up is used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import cross_entropy, gradient, logit, rows, score, softmax
from w2s.losses.product import Config, product
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


def taught(z: np.ndarray, t: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    raw = softmax(z) ** beta * t**alpha
    return raw / raw.sum(axis=1, keepdims=True)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), alpha=st.floats(0, 3), beta=st.floats(0, 3))
def test_value(seed, classes, alpha, beta):
    logits, target = rows(seed, classes=classes)
    expected = cross_entropy(taught(logits.numpy(), target.numpy(), alpha, beta), logits.numpy())
    found = score(Config(alpha=alpha, beta=beta), logits, target)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@QUICK
@given(seed=SEEDS)
def test_logit_of_what_is_taught_is_the_sum_of_logits(seed):
    logits, target = rows(seed)
    found = product(Config(), logits, target, 0.0)[:, 1].numpy()
    expected = logit(softmax(logits.numpy())[:, 1]) + logit(target[:, 1].numpy())
    np.testing.assert_allclose(logit(found), expected, rtol=1e-6, atol=1e-9)


@QUICK
@given(seed=SEEDS)
def test_gradient_is_prediction_minus_what_is_taught_and_has_the_sign_of_the_hard_label(seed):
    logits, target = rows(seed)
    found = gradient(Config(), logits, target).numpy()
    p = softmax(logits.numpy())
    np.testing.assert_allclose(found, p - taught(logits.numpy(), target.numpy(), 1, 1), atol=1e-12)
    assert (np.sign(found[:, 1]) == np.sign(0.5 - target[:, 1].numpy())).all()


def test_certain_labels_make_it_cross_entropy():
    logits, _ = rows(3)
    certain = torch.eye(2, dtype=torch.float64).repeat(8, 1)
    torch.testing.assert_close(score(Config(), logits, certain), score(Xent(), logits, certain))


def test_a_ruled_out_class_stays_out_however_sure_the_student():
    logits = torch.tensor([[1e4, -1e4]], dtype=torch.float64)
    target = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert torch.equal(product(Config(), logits, target, 0.5), target)


@pytest.mark.parametrize("alpha,beta", [(0.0, 1.0), (1.0, 0.0)])
def test_an_exponent_of_zero_drops_its_factor(alpha, beta):
    logits, target = rows(2)
    target[0] = torch.tensor([0.0, 1.0])
    found = product(Config(alpha=alpha, beta=beta), logits, target, 0.9)
    torch.testing.assert_close(found, logits.softmax(-1) if alpha == 0 else target)


def test_warm_up_is_used():
    """The released constructor takes a warm-up and ignores it: that formula is the one without."""
    logits, target = rows(4)
    config = Config(warmup=0.2)
    expected = cross_entropy(taught(logits.numpy(), target.numpy(), 1, 0.5), logits.numpy())
    half_way = score(config, logits, target, 0.1)
    np.testing.assert_allclose(half_way.numpy(), expected, rtol=1e-9)
    ignoring_it = cross_entropy(taught(logits.numpy(), target.numpy(), 1, 1), logits.numpy())
    assert np.abs(half_way.numpy() - ignoring_it).max() > 0.01
    torch.testing.assert_close(score(config, logits, target, 0.0), score(Xent(), logits, target))
    np.testing.assert_allclose(score(config, logits, target, 0.2).numpy(), ignoring_it, rtol=1e-9)
