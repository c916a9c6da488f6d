"""CACE: sure labels teach by cross-entropy, unsure ones by its reverse; parted by a number or by a quantile of all labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.w2s.losses.batches import agrees_with_finite_differences, cross_entropy, rows, score, softmax
from w2s.loss import compute, label_statistics, needs_statistics
from w2s.losses.cace import Config
from w2s.losses.reverse_xent import Config as Reverse
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


def cace(z: np.ndarray, t: np.ndarray, threshold: float) -> np.ndarray:
    sure = t.max(axis=1) - 1 / t.shape[1] >= threshold
    return np.where(sure, cross_entropy(t, z), -(softmax(z) * np.log(t)).sum(axis=1))


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), threshold=st.floats(0, 0.6))
def test_value_by_threshold(seed, classes, threshold):
    logits, target = rows(seed, classes=classes)
    found = score(Config(by="threshold", threshold=threshold), logits, target)
    np.testing.assert_allclose(found.numpy(), cace(logits.numpy(), target.numpy(), threshold), rtol=1e-9)


@QUICK
@given(seed=SEEDS, share=st.floats(0, 1))
def test_value_by_quantile_of_all_labels(seed, share):
    (logits, target), (_, everything) = rows(seed), rows(seed + 1, 90)
    config = Config(by="quantile", quantile=share)
    c = np.quantile(np.abs(everything[:, 1].numpy() - 0.5), share)
    known = label_statistics(config, everything)
    assert known["threshold"].item() == pytest.approx(c, rel=1e-12)
    found = compute(config, logits, target, 0.5, known)
    np.testing.assert_allclose(found.numpy(), cace(logits.numpy(), target.numpy(), c), rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_quantile_is_the_share_that_learns_in_reverse(classes):
    logits, target = rows(1, 200, classes)
    in_reverse = score(Config(quantile=0.3), logits, target) == score(Reverse(), logits, target)
    assert in_reverse.double().mean().item() == pytest.approx(0.3, abs=0.005)


def test_two_classes_measure_from_one_half():
    """A label of 0.2 is as sure as one of 0.8."""
    logits, _ = rows(2, 2)
    target = torch.tensor([[0.8, 0.2], [0.2, 0.8]], dtype=torch.float64)
    assert torch.equal(score(Config(by="threshold", threshold=0.29), logits, target), score(Xent(), logits, target))
    assert torch.equal(score(Config(by="threshold", threshold=0.31), logits, target), score(Reverse(), logits, target))


def test_the_threshold_itself_is_sure():
    logits, target = torch.tensor([[1.0, -1.0]]).double(), torch.tensor([[0.25, 0.75]]).double()
    assert score(Config(by="threshold", threshold=0.25), logits, target) == score(Xent(), logits, target)


def test_limits():
    logits, target = rows(3)
    assert torch.equal(score(Config(by="threshold", threshold=0), logits, target), score(Xent(), logits, target))
    assert torch.equal(score(Config(by="threshold", threshold=1), logits, target), score(Reverse(), logits, target))
    smooth = Config(by="threshold", threshold=1, eps=0.2)
    assert torch.equal(score(smooth, logits, target), score(Reverse(eps=0.2), logits, target))


def test_gradient_agrees_with_finite_differences():
    assert agrees_with_finite_differences(Config(quantile=0.5), *rows(4, 6, 3))


def test_it_asks_for_labels_only_where_it_needs_them():
    _, target = rows(5)
    assert label_statistics(Config(by="threshold"), target) == {}
    assert not needs_statistics(Config())
