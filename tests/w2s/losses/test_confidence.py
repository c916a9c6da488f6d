"""The confidence loss: the paper's formula, the prior matched over the global batch, a warm-up that never jumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BadInput
from w2s.loss import check, compute, needs_statistics, statistics
from w2s.losses import confidence
from w2s.losses.confidence import Config, coefficient, guesses
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)
LATE = 0.9  # past every warm-up used here


def rows(seed: int, n: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits (no ties) and soft labels [n, 2], in float64."""
    rng = np.random.default_rng(seed)
    w = rng.beta(*rng.uniform(0.3, 3, size=2), size=n)
    return torch.tensor(rng.normal(size=(n, 2)) * 2), torch.tensor(np.stack([1 - w, w], axis=1))


def whole(config: Config, logits: torch.Tensor, target: torch.Tensor, progress: float = LATE) -> torch.Tensor:
    found = statistics(config, logits, target, torch.ones(len(logits), dtype=torch.float64))
    return compute(config, logits, target, progress, found)


# --- independent formulas, in numpy ---


def reference_formula(z: np.ndarray, t: np.ndarray, alpha: float, warmup: float, progress: float) -> np.ndarray:
    """openai's released loss as its notes describe it, row by row."""
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    threshold = np.quantile(p[:, 0], t[:, 1].mean())
    a = alpha * (1.0 if progress > warmup else progress)
    losses = []
    for p_row, t_row in zip(p, t, strict=True):
        hard = (1.0, 0.0) if p_row[0] >= threshold else (0.0, 1.0)
        losses.append(-sum((t_row[c] * (1 - a) + a * hard[c]) * math.log(p_row[c]) for c in (0, 1)))
    return np.array(losses)


def paper_formula(z: np.ndarray, t: np.ndarray, a: float) -> np.ndarray:
    """(1 - a) CE(w, f) + a CE(fhat, f), fhat = 1 for the round(N * mean w) rows that lean most to class 1."""
    p1 = 1 / (1 + np.exp(z[:, 0] - z[:, 1]))
    ones = np.argsort(-p1)[: round(len(z) * t[:, 1].mean())]
    fhat = np.zeros(len(z))
    fhat[ones] = 1

    def ce(w: np.ndarray) -> np.ndarray:
        return -(w * np.log(p1) + (1 - w) * np.log(1 - p1))

    return (1 - a) * ce(t[:, 1]) + a * ce(fhat)


@QUICK
@given(seed=SEEDS, alpha=st.floats(0, 1), n=st.integers(1, 40))
def test_paper_value(seed, alpha, n):
    logits, target = rows(seed, n)
    expected = paper_formula(logits.numpy(), target.numpy(), alpha)
    np.testing.assert_allclose(whole(Config(alpha=alpha), logits, target).numpy(), expected, rtol=1e-9)


@QUICK
@given(seed=SEEDS, alpha=st.floats(0, 1), warmup=st.floats(0, 1), progress=st.floats(0, 0.999))
def test_reference_value(seed, alpha, warmup, progress):
    logits, target = rows(seed)
    config = Config(alpha=alpha, warmup=warmup, variant="reference")
    expected = reference_formula(logits.numpy(), target.numpy(), alpha, warmup, progress)
    np.testing.assert_allclose(whole(config, logits, target, progress).numpy(), expected, rtol=1e-9)


# --- the prior ---


@QUICK
@given(seed=SEEDS, n=st.integers(1, 64))
def test_paper_guesses_hold_the_share_of_the_weak_labels(seed, n):
    logits, target = rows(seed, n)
    found = statistics(Config(), logits, target, torch.ones(n))
    share = guesses(Config(), logits, found)[:, 1].mean().item()
    assert abs(share - target[:, 1].mean().item()) <= 0.5 / n + 1e-9
    assert found["prior"].item() == pytest.approx(target[:, 1].mean().item())


@QUICK
@given(seed=SEEDS, n=st.integers(1, 64))
def test_reference_guesses_hold_it_to_within_one_row(seed, n):
    config = Config(variant="reference")
    logits, target = rows(seed, n)
    share = guesses(config, logits, statistics(config, logits, target, torch.ones(n)))[:, 1].mean().item()
    assert abs(share - target[:, 1].mean().item()) <= 1 / n + 1e-9


def test_reference_share_at_a_known_point():
    logits, _ = rows(0)
    target = torch.tensor([[0.3, 0.7]] * 32)
    config = Config(variant="reference")
    share = guesses(config, logits, statistics(config, logits, target, torch.ones(32)))[:, 1].mean().item()
    assert share == 22 / 32  # ceil(0.7 * 31) rows lie below the interpolated quantile


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_batch_of_one_class_is_hardened_to_that_class(label):
    logits, _ = rows(0)
    target = torch.tensor([[1 - label, label]] * 32)
    assert (guesses(Config(), logits, statistics(Config(), logits, target, torch.ones(32)))[:, 1] == label).all()


def test_prior_half_ignores_the_labels():
    logits, _ = rows(5)
    config = Config(prior="half")
    target = torch.tensor([[0.1, 0.9]] * 32)
    assert guesses(config, logits, statistics(config, logits, target, torch.ones(32)))[:, 1].mean() == 0.5


@pytest.mark.parametrize(
    ("variant", "label", "expected"), [("paper", 0.3, 0), ("paper", 0.7, 1), ("reference", 0.7, 0)]
)
def test_equal_predictions_get_equal_guesses(variant, label, expected):
    config = Config(variant=variant)
    logits, target = torch.zeros(8, 2), torch.tensor([[1 - label, label]] * 8)
    assert (guesses(config, logits, statistics(config, logits, target, torch.ones(8)))[:, 1] == expected).all()


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_a_zero_head_with_warm_up_starts_as_plain_cross_entropy(variant):
    logits, (_, target) = torch.zeros(32, 2, dtype=torch.float64), rows(1)
    assert torch.equal(whole(Config(variant=variant), logits, target, 0.0), compute(Xent(), logits, target, 0.0))


@QUICK
@given(seed=SEEDS, ties=st.integers(1, 4))
def test_ties_fall_on_one_side_and_no_cut_between_unequal_rows_is_nearer(seed, ties):
    rng = np.random.default_rng(seed)
    margin = rng.integers(-ties, ties + 1, size=20).astype(float)
    w = rng.uniform(size=20)
    logits = torch.tensor(np.stack([np.zeros(20), margin], axis=1))
    target = torch.tensor(np.stack([1 - w, w], axis=1))
    found = statistics(Config(), logits, target, torch.ones(20))
    share = guesses(Config(), logits, found)[:, 1].mean().item()
    reachable = [np.mean(margin > cut) for cut in [-np.inf, *margin]]
    assert abs(share - w.mean()) <= min(abs(r - w.mean()) for r in reachable) + 1e-9


# --- the warm-up ---


@QUICK
@given(alpha=st.floats(0, 1), warmup=st.floats(0.01, 1), progress=st.floats(0, 1))
def test_warm_up_is_linear_then_flat(alpha, warmup, progress):
    expected = alpha * progress / warmup if progress < warmup else alpha
    assert coefficient(Config(alpha=alpha, warmup=warmup), progress) == pytest.approx(expected)


@QUICK
@given(alpha=st.floats(0, 1), warmup=st.floats(0.01, 0.99))
def test_warm_up_never_jumps(alpha, warmup):
    config = Config(alpha=alpha, warmup=warmup)
    curve = np.array([coefficient(config, x) for x in np.linspace(0, 1, 2001)])
    assert np.abs(np.diff(curve)).max() <= alpha / warmup / 2000 + 1e-12
    assert curve[0] == 0
    assert curve[-1] == alpha


def test_the_reference_jumps_and_is_kept_apart():
    config = Config(alpha=0.5, warmup=0.1, variant="reference")
    assert coefficient(config, 0.1) == pytest.approx(0.05)
    assert coefficient(config, 0.1 + 1e-9) == 0.5


def test_no_warm_up_means_alpha_from_the_start():
    assert coefficient(Config(warmup=0), 0.0) == 0.5


# --- gradients ---


@QUICK
@given(seed=SEEDS)
def test_gradient_is_prediction_minus_the_mixed_target(seed):
    """So nothing flows through the guess, the threshold or the prior."""
    logits, target = rows(seed)
    config = Config(alpha=0.75)
    logits.requires_grad_()
    found = statistics(config, logits, target, torch.ones(32))
    compute(config, logits, target, LATE, found).sum().backward()
    mixed = 0.25 * target + 0.75 * guesses(config, logits, found)
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - mixed)
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_gradient_agrees_with_finite_differences(variant):
    config = Config(variant=variant)
    logits, target = rows(2, 6)
    found = statistics(config, logits, target, torch.ones(6))
    assert torch.autograd.gradcheck(lambda z: compute(config, z, target, LATE, found), logits.requires_grad_())


@QUICK
@given(seed=SEEDS, variant=st.sampled_from(["paper", "reference"]))
def test_alpha_zero_is_cross_entropy_bit_for_bit(seed, variant):
    logits, target = rows(seed)
    loss = whole(Config(alpha=0, variant=variant), logits, target)
    assert torch.equal(loss, compute(Xent(), logits, target, LATE))


def test_alpha_one_leaves_the_weak_labels_only_their_share():
    logits, target = rows(4)
    shuffled = target[torch.randperm(32, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(whole(Config(alpha=1), logits, target), whole(Config(alpha=1), logits, shuffled))


# --- the global batch, however it is cut ---


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
    torch.testing.assert_close(whole(config, logits[order], target[order]), whole(config, logits, target)[order])


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


# --- the door ---


def test_it_asks_for_the_whole_batch():
    assert needs_statistics(Config())


@pytest.mark.parametrize("classes", [1, 3, 4])
def test_other_than_two_classes_are_refused_with_a_remedy(classes):
    with pytest.raises(BadInput) as refused:
        check(Config(), classes)
    assert str(classes) in refused.value.what
    assert "xent" in refused.value.remedy
    with pytest.raises(BadInput):
        confidence.loss(Config(), torch.zeros(2, classes), torch.zeros(2, classes), 0.5, None)
    check(Config(), 2)
    check(Xent(), classes)
