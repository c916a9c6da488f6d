"""The window loss silences the rows of which the student is sure, exactly those."""

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
    known,
    rows,
    score,
    softmax,
)  # fmt: skip
from w2s.loss import compute, label_statistics, needs_statistics
from w2s.losses.window import Config
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), radius=st.floats(0.01, 1))
def test_value_and_what_is_silent(seed, classes, radius):
    logits, target = rows(seed, classes=classes)
    z = logits.numpy()
    inside = softmax(z).max(axis=1) < 1 / classes + radius
    found = score(Config(radius=radius), logits, target).numpy()
    np.testing.assert_allclose(found, np.where(inside, cross_entropy(target.numpy(), z), 0), rtol=1e-12)
    steps = gradient(Config(radius=radius), logits, target).numpy()
    np.testing.assert_allclose(steps, np.where(inside[:, None], softmax(z) - target.numpy(), 0), atol=1e-12)


def test_the_edge_itself_is_outside():
    """max p >= 0.5 + r is silent: with p = 3/4 at logits (0, log 3), r = 1/4 lies exactly on it."""
    logits = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
    logits[0, 1] = torch.tensor(3.0, dtype=torch.float64).log()
    assert logits.softmax(-1)[0, 1] == 0.75
    target = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    assert score(Config(radius=0.25), logits, target) == 0
    assert score(Config(radius=0.25 + 1e-12), logits, target) > 0


def test_gradient_agrees_with_finite_differences():
    assert agrees_with_finite_differences(Config(radius=0.2), *rows(1, 8))


@pytest.mark.parametrize("n", [15, 16])
def test_midweak_is_the_median_distance_of_all_labels(n):
    _, target = rows(2, n)
    found = label_statistics(Config(by="midweak"), target)["radius"].item()
    assert found == pytest.approx(np.median(np.abs(target[:, 1].numpy() - 0.5)))
    assert found != pytest.approx(0.15)


def test_midweak_is_used_and_radius_is_not():
    (logits, target), (_, others) = rows(3), rows(4, 50)
    config = Config(by="midweak", radius=1.0)
    radius = np.median(np.abs(others[:, 1].numpy() - 0.5))
    found = score(config, logits, target) != 0, score(Config(radius=radius), logits, target) != 0
    of_others = compute(config, logits, target, 0.5, label_statistics(config, others)) != 0
    assert torch.equal(of_others, found[1])
    assert 0 < of_others.sum() < 16


def test_a_radius_beyond_all_predictions_is_cross_entropy():
    logits, target = rows(5)
    assert torch.equal(score(Config(radius=0.51), logits, target), score(Xent(), logits, target))


def test_it_asks_for_labels_and_never_for_the_batch():
    logits, target = rows(6)
    assert not needs_statistics(Config(by="midweak"))
    assert known(Config(), logits, target) == {}
