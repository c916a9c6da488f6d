"""Evidential loss: fit, divergence and annealing against scipy; its limits; and that a zero head can begin."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import dirichlet

from tests.w2s.losses.batches import agrees_with_finite_differences, gradient, rows, score
from w2s.losses.edl import Config, kl_from_even

QUICK = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 10_000)


def divergence(a: np.ndarray) -> float:
    """KL(Dir(a) || Dir(1)): the even density is (C - 1)! everywhere."""
    return -dirichlet(a).entropy() - math.log(math.factorial(len(a) - 1))


def edl(z: np.ndarray, t: np.ndarray, k: float, softplus: bool = False) -> np.ndarray:
    losses = []
    for row, label in zip(z, t, strict=True):
        a = (np.log1p(np.exp(row)) if softplus else np.maximum(row, 0)) + 1
        fit = sum(label[c] * (np.log(a.sum()) - np.log(a[c])) for c in range(len(a)))
        losses.append(fit + k * divergence((a - 1) * (1 - label) + 1))
    return np.array(losses)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 5), alpha=st.floats(0, 1), progress=st.floats(0, 0.99))
@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("evidence", ["relu", "softplus"])
def test_value(seed, classes, alpha, progress, labels, evidence):
    logits, target = rows(seed, 6, classes, scale=4)
    eye, z, t = np.eye(classes), logits.numpy(), target.numpy()
    label, soft = (eye[t.argmax(axis=1)] if labels == "hard" else t), evidence == "softplus"
    expected = (1 - alpha) * edl(z, label, progress, soft) + alpha * edl(z, eye[z.argmax(axis=1)], progress, soft)
    found = score(Config(alpha=alpha, labels=labels, evidence=evidence), logits, target, progress)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("config", [Config(), Config(labels="soft", evidence="softplus", alpha=0)])
def test_gradient_agrees_with_finite_differences(config):
    assert agrees_with_finite_differences(config, *rows(1, 5, 3))


@pytest.mark.parametrize("anneal,progress,k", [(1.0, 0.3, 0.3), (0.5, 0.25, 0.5), (0.5, 0.8, 1.0), (0.0, 0.0, 1.0)])
def test_annealing_follows_progress(anneal, progress, k):
    logits, target = rows(2, 6, 3)
    expected = edl(logits.numpy(), np.eye(3)[target.numpy().argmax(axis=1)], k)
    found = score(Config(alpha=0, anneal=anneal), logits, target, progress)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_much_evidence_for_the_right_class_costs_nothing():
    certain = torch.eye(3, dtype=torch.float64)
    losses = [score(Config(), e * certain, certain).max().item() for e in (1e1, 1e3, 1e5, 1e7)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(0, abs=1e-6)


def test_evidence_against_the_label_costs_more_the_later():
    logits, certain = torch.tensor([[0.0, 5.0]]).double(), torch.tensor([[1.0, 0.0]]).double()
    early, late = (score(Config(alpha=0), logits, certain, s).item() for s in (0.0, 0.9))
    assert late > early + 0.1


def test_even_evidence_diverges_from_nothing():
    assert kl_from_even(torch.ones(1, 4, dtype=torch.float64)).abs().item() < 1e-12


def test_a_zero_head_begins_and_relu_stops_where_softplus_goes_on():
    zero, certain = torch.zeros(3, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    push = gradient(Config(alpha=0), zero, certain)
    assert (push.diagonal() < -0.1).all()
    assert (push[~torch.eye(3, dtype=torch.bool)] > 0.1).all()
    dead = zero - 1
    assert (gradient(Config(), dead, certain) == 0).all()
    assert (gradient(Config(evidence="softplus", alpha=0), dead, certain).diagonal() < 0).all()


def test_large_evidence_keeps_its_digits_in_float32():
    logits, target = torch.tensor([[9e3, 1e4, -1e4]]), torch.tensor([[1.0, 0.0, 0.0]])
    single, double = (score(Config(), z, target.to(z.dtype)) for z in (logits, logits.double()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=0)
