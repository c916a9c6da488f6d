"""Cross-entropy: its value and its gradient are the textbook's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import log_softmax, rows
from w2s.loss import compute, needs_statistics, statistics
from w2s.losses.xent import Config

QUICK = settings(deadline=None, max_examples=40)


@QUICK
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_soft_labels_give_the_expected_code_length(seed, classes):
    logits, target = rows(seed, classes=classes)
    expected = -(target.numpy() * log_softmax(logits.numpy())).sum(axis=1)
    np.testing.assert_allclose(compute(Config(), logits, target, 0.3).numpy(), expected, rtol=1e-12)


@QUICK
@given(seed=st.integers(0, 10_000))
def test_gradient_is_prediction_minus_target(seed):
    logits, target = rows(seed, classes=3)
    logits.requires_grad_()
    compute(Config(), logits, target, 0.0).sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - target)


def test_gradient_agrees_with_finite_differences():
    logits, target = rows(1, n=4)
    assert torch.autograd.gradcheck(lambda z: compute(Config(), z, target, 0.0), logits.requires_grad_())


@QUICK
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_hard_labels_count_the_likeliest_class_alone(seed, classes):
    logits, target = rows(seed, classes=classes)
    expected = -log_softmax(logits.numpy())[np.arange(16), target.numpy().argmax(axis=1)]
    np.testing.assert_allclose(compute(Config(labels="hard"), logits, target, 0.0).numpy(), expected, rtol=1e-12)


def test_a_tied_label_is_the_lowest_class():
    logits = torch.tensor([[2.0, -1.0]])
    even, zero = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
    assert torch.equal(compute(Config(labels="hard"), logits, even, 0.0), compute(Config(), logits, zero, 0.0))


def test_it_needs_nothing_from_the_rest_of_the_batch():
    logits, target = rows(0)
    assert not needs_statistics(Config())
    assert statistics(Config(), logits, target, torch.ones(16)) == {}


def test_huge_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = compute(Config(), logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 0.0)
    loss.sum().backward()
    torch.testing.assert_close(loss.detach(), torch.tensor([0.0, 2e4]))
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_scored_in_float32(dtype):
    logits, target = rows(3)
    logits = logits.to(dtype)
    half, full = compute(Config(), logits, target.float(), 0.0), compute(Config(), logits.float(), target.float(), 0.0)
    assert half.dtype == torch.float32
    assert torch.equal(half, full)
