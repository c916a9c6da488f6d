"""The evidential loss over a crowd: a sum of `edl`, supervisor by supervisor, and the student's own part once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BadInput
from tests.w2s.losses.batches import agrees_with_finite_differences, rows
from tests.w2s.losses.test_raven import crowd
from w2s.loss import compute, hears_a_crowd, label_statistics
from w2s.losses.bayesian import Config
from w2s.losses.edl import Config as Edl

QUICK = settings(deadline=None, max_examples=8)
SEEDS = st.integers(0, 10_000)


@QUICK
@given(seed=SEEDS, alpha=st.floats(0, 1), progress=st.floats(0, 0.99))
@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("evidence", ["relu", "softplus"])
@pytest.mark.parametrize("teachers", ["sum", "mean"])
def test_a_crowd_of_one_is_edl(seed, alpha, progress, labels, evidence, teachers):
    logits, target = rows(seed, classes=3)
    options = {"alpha": alpha, "labels": labels, "evidence": evidence}
    wanted = compute(Edl(**options), logits, target, progress)
    for told in (target, target[:, None]):
        found = compute(Config(**options, teachers=teachers), logits, told, progress)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@QUICK
@given(seed=SEEDS, alpha=st.floats(0, 1))
@pytest.mark.parametrize("teachers", ["sum", "mean"])
def test_each_supervisor_adds_its_own(seed, alpha, teachers):
    logits, labels, _ = crowd(seed)
    weights = (0.5, 2.0, 1.0)
    parts = [compute(Edl(alpha=0), logits, labels[:, k], 0.3) for k in range(3)]
    weak = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    own = compute(Edl(alpha=1), logits, labels[:, 0], 0.3)
    wanted = (1 - alpha) * weak / (3.5 if teachers == "mean" else 1) + alpha * own
    found = compute(Config(alpha=alpha, weights=weights, teachers=teachers), logits, labels, 0.3)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_gradient_agrees_with_finite_differences():
    logits, labels, _ = crowd(7, n=5)
    assert agrees_with_finite_differences(Config(alpha=0.3), logits, labels)


def test_a_weight_for_every_supervisor_or_none():
    _, labels, _ = crowd(0)
    assert label_statistics(Config(), labels) == {}
    assert label_statistics(Config(weights=(1.0, 1.0, 2.0)), labels) == {}
    with pytest.raises(BadInput, match="2 weights for 3 supervisors"):
        label_statistics(Config(weights=(1.0, 2.0)), labels)


def test_many_heads_at_once_with_weights_of_their_own():
    """Numbers of a config come as tensors there, the tuple of weights too."""
    logits, labels, _ = crowd(5)
    config = Config(weights=(1.0, 2.0, 3.0))
    tried = torch.tensor([0.1, 0.6], dtype=torch.float64)
    scales = tuple(torch.tensor([w, 2 * w], dtype=torch.float64) for w in config.weights)

    def one(alpha, weights):
        return compute(config.model_copy(update={"alpha": alpha, "weights": weights}), logits, labels, 0.3)

    together = torch.func.vmap(one)(tried, scales)
    for place, alpha in enumerate((0.1, 0.6)):
        own = Config(alpha=alpha, weights=tuple((place + 1) * w for w in config.weights))
        torch.testing.assert_close(together[place], compute(own, logits, labels, 0.3))


def test_it_hears_a_crowd():
    assert hears_a_crowd(Config())
