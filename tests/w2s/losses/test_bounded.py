"""The losses with a ceiling, generalised cross-entropy and the Brier score: values, gradients, limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import agrees_with_finite_differences, gradient, rows, score, softmax
from w2s.losses.brier import Config as Brier
from w2s.losses.generalised_xent import Config as Generalised
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), q=st.floats(0.01, 1))
def test_generalised_value_and_gradient(seed, classes, q):
    logits, target = rows(seed, classes=classes)
    p, t = softmax(logits.numpy()), target.numpy()
    np.testing.assert_allclose(
        score(Generalised(q=q), logits, target).numpy(), (t * (1 - p**q) / q).sum(axis=1), rtol=1e-9
    )
    expected = p * (t * p**q).sum(axis=1, keepdims=True) - t * p**q
    np.testing.assert_allclose(gradient(Generalised(q=q), logits, target).numpy(), expected, atol=1e-10)


def test_generalised_hard_labels():
    logits, target = rows(1, classes=3)
    p = softmax(logits.numpy())[np.arange(16), target.numpy().argmax(axis=1)]
    found = score(Generalised(labels="hard", q=0.7), logits, target)
    np.testing.assert_allclose(found.numpy(), (1 - p**0.7) / 0.7, rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_generalised_near_zero_is_cross_entropy(classes):
    logits, target = rows(2, classes=classes)
    torch.testing.assert_close(score(Generalised(q=1e-9), logits, target), score(Xent(), logits, target))


@pytest.mark.parametrize("classes", [2, 4])
def test_generalised_at_one_is_half_the_absolute_error_of_certain_labels(classes):
    logits, target = rows(3, classes=classes)
    certain = torch.nn.functional.one_hot(target.argmax(-1), classes).double()
    absolute = (logits.softmax(-1) - certain).abs().sum(-1)
    torch.testing.assert_close(score(Generalised(q=1), logits, certain), absolute / 2)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5))
def test_brier_value_and_gradient(seed, classes):
    logits, target = rows(seed, classes=classes)
    p, t = softmax(logits.numpy()), target.numpy()
    np.testing.assert_allclose(score(Brier(), logits, target).numpy(), ((p - t) ** 2).sum(axis=1), rtol=1e-9)
    expected = 2 * p * ((p - t) - (p * (p - t)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(gradient(Brier(), logits, target).numpy(), expected, atol=1e-12)


def test_brier_of_two_classes_is_twice_the_squared_difference_and_at_most_two():
    logits, target = rows(4)
    f, w = logits.softmax(-1)[:, 1], target[:, 1]
    torch.testing.assert_close(score(Brier(), logits, target), 2 * (f - w) ** 2)
    wrong = score(Brier(), torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]]))
    assert wrong.item() == 2


@pytest.mark.parametrize("config", [Brier(), Generalised(), Generalised(q=1, labels="hard")])
def test_gradient_agrees_with_finite_differences(config):
    assert agrees_with_finite_differences(config, *rows(5, 5, 3))


@pytest.mark.parametrize("config,ceiling", [(Brier(), 2), (Generalised(q=0.5), 2), (Generalised(q=1), 1)])
def test_no_row_costs_more_than_the_ceiling(config, ceiling):
    logits, certain = torch.tensor([[1e4, -1e4]]).double(), torch.tensor([[0.0, 1.0]]).double()
    assert score(config, logits, certain).item() == pytest.approx(ceiling)
    assert score(Xent(), logits, certain).item() > 1e4
