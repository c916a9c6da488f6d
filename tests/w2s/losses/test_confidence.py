"""The confidence loss: the paper's formula, the prior matched over the global batch, a warm-up that never jumps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.losses import batches
from tests.w2s.losses.batches import known
from tests.w2s.losses.batches import uneven_rows as rows
from w2s import loss as losses
from w2s.config import identity
from w2s.loss import check, compute, needs_statistics, statistics
from w2s.losses import confidence
from w2s.losses._shares import repeated, share
from w2s.losses.confidence import Config, coefficient, decided, guesses
from w2s.losses.xent import Config as Xent
from w2s.recipe import Recipe
from w2s.stages import Leg

QUICK = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10_000)
LATE = 0.9  # past every warm-up used here


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


def test_equal_predictions_are_not_all_class_0_whatever_the_labels():
    """The released quantile rule hardens a zero head's rows to class 0 even where 9 in 10 labels say class 1."""
    logits, target = torch.zeros(10, 2), torch.tensor([[0.1, 0.9]] * 10)
    released = (logits.softmax(-1)[:, 0] < logits.softmax(-1)[:, 0].quantile(0.9)).float()
    assert released.sum() == 0
    assert guesses(Config(), logits, known(Config(), logits, target))[:, 1].sum() == 10


@QUICK
@given(seed=SEEDS)
def test_the_cut_is_at_the_mean_label_not_at_the_median(seed):
    """A fork for scalar heads cut the predictions at the quantile of the *median* label, on the wrong side.

    Nine labels in ten are sure of class 0, so the mean is near 0.14 and the median at 0.05.
    """
    logits, _ = rows(seed, 40)
    w = torch.tensor([0.05] * 36 + [0.95] * 4, dtype=torch.float64)
    target = torch.stack([1 - w, w], dim=1)
    share = guesses(Config(), logits, known(Config(), logits, target))[:, 1].mean().item()
    f = logits.softmax(-1)[:, 1]
    faulty = (f > f.quantile(w.median())).double().mean().item()
    assert abs(share - 0.14) <= 0.5 / 40 + 1e-9
    assert faulty > 0.9


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


def test_the_released_warm_up_is_another_curve():
    """a = alpha * s until s > warmup, then alpha: half as large as it should be at half of a warm-up of 0.5, and jumping."""
    config = Config(alpha=0.5, warmup=0.5)
    released = [0.5 * (1.0 if s > 0.5 else s) for s in (0.25, 0.5, 0.5 + 1e-9)]
    ours = [coefficient(config, s) for s in (0.25, 0.5, 0.5 + 1e-9)]
    assert ours == pytest.approx([0.25, 0.5, 0.5])
    assert released == pytest.approx([0.125, 0.25, 0.5])


def test_no_warm_up_means_alpha_from_the_start():
    assert coefficient(Config(warmup=0), 0.0) == 0.5


# --- alpha as a schedule ---


@QUICK
@given(total=st.integers(1, 100_000), count=st.integers(1, 64), at=st.floats(0, 1, exclude_max=True))
def test_shares_of_training_are_those_of_its_steps(total, count, at):
    """Exactly s * n // S, also where s / S * n falls short of a whole number (1 / 49 * 49 < 1); legs are cut there too."""
    for step in {int(at * total), 0, total - 1, -(-total // count) % total}:
        assert share(step / total, count) == step * count // total
        begin, end = Leg(step * count // total, count).span(total)
        assert begin <= step < end


@QUICK
@given(total=st.integers(1, 5_000), count=st.integers(1, 64))
def test_legs_partition_the_steps(total, count):
    spans = [Leg(index, count).span(total) for index in range(count)]
    assert [begin for begin, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == total


def test_a_schedule_is_constant_over_equal_shares_under_the_same_warm_up():
    config = Config(alpha=(0.1, 0.3, 0.5), warmup=0.5)
    wanted = {0.0: 0.0, 0.25: 0.1 * 0.5, 1 / 3: 0.3 * 2 / 3, 0.5: 0.3, 0.66: 0.3, 2 / 3: 0.5, 0.999: 0.5}
    assert {at: coefficient(config, at) for at in wanted} == pytest.approx(wanted)
    released = Config(alpha=(0.1, 0.3), warmup=0.6, variant="reference")
    assert [coefficient(released, at) for at in (0.4, 0.5, 0.7)] == pytest.approx([0.04, 0.15, 0.3])


@QUICK
@given(seed=SEEDS, alpha=st.floats(0, 1), n=st.integers(2, 8), progress=st.floats(0, 0.999))
def test_a_schedule_of_one_number_is_that_number(seed, alpha, n, progress):
    logits, target = rows(seed)
    assert Config(alpha=[alpha]) == Config(alpha=alpha)
    level = whole(Config(alpha=(alpha,) * n), logits, target, progress)
    assert torch.equal(level, whole(Config(alpha=alpha), logits, target, progress))


def test_a_plain_alpha_has_the_science_it_always_had():
    plain = {"kind": "confidence", "alpha": 0.5, "warmup": 0.2, "variant": "paper", "prior": "batch"}
    assert Config(alpha=[0.5]).dump() == plain
    assert identity(Config(alpha=[0.5])) == {"version": 1, **plain}
    assert identity(Config(alpha=[0.1, 0.5]))["alpha"] == [0.1, 0.5]


def test_a_schedule_decided_in_part_repeats_its_last_number():
    assert decided(Config(warmup=0), (0.1, 0.3), 4) == Config(alpha=(0.1, 0.3, 0.3, 0.3), warmup=0)
    assert decided(Config(), (0.1,), 1) == Config(alpha=0.1)
    for wrong in ((), (0.1,) * 5, (2.0,)):
        with pytest.raises(ValueError, match=r"give 1 to 4|less than or equal to 1"):
            decided(Config(), wrong, 4)
    assert repeated((1, 2), 3) == (1, 2, 2)


def test_the_door_tells_the_coefficient_of_a_loss_that_has_one():
    assert losses.coefficient(Config(alpha=(0.2, 0.6), warmup=0), 0.75) == 0.6
    assert losses.coefficient(Xent(), 0.75) is None


@pytest.mark.parametrize(
    "alpha,where,what",
    [
        (2, ("alpha",), "less than or equal to 1"),
        ([0.1, 2], ("alpha", 1), "less than or equal to 1"),
        ([], ("alpha",), "at least 1 item"),
        ([0.1] * 65, ("alpha",), "at most 64 items"),
        (None, ("alpha",), "a valid number"),
    ],
)
def test_a_bad_alpha_is_told_of_the_form_that_was_meant(alpha, where, what):
    with pytest.raises(ValueError, match=what) as refused:
        Config(alpha=alpha)
    (fault,) = refused.value.errors()
    assert tuple(step for step in fault["loc"] if "[" not in str(step)) == where


def test_the_method_takes_a_schedule_and_is_named_by_it():
    recipe = Recipe.model_validate(toy_recipe(method={"kind": "confidence", "alpha": [0.1, 0.3, 0.5]}))
    assert recipe.method.label == "confidence alpha=0.1>0.3>0.5"
    taught = [stage for stage in recipe.graph().values() if getattr(stage, "labels", None) and hasattr(stage, "loss")]
    assert Config(alpha=(0.1, 0.3, 0.5)) in {stage.loss for stage in taught}


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


# --- the student's likeliest class, matched to nothing ---


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_argmax_hardens_to_the_likeliest_class_and_needs_no_batch(classes):
    config, (logits, target) = Config(variant="argmax", alpha=0.3), batches.rows(3, classes=classes)
    z, t = logits.numpy(), target.numpy()
    hard = np.eye(classes)[z.argmax(axis=1)]
    expected = 0.7 * batches.cross_entropy(t, z) + 0.3 * batches.cross_entropy(hard, z)
    np.testing.assert_allclose(compute(config, logits, target, LATE).numpy(), expected, rtol=1e-9)
    assert not needs_statistics(config)
    assert needs_statistics(Config())


# --- the door ---


@pytest.mark.parametrize("classes", [1, 3, 4])
def test_the_reference_refuses_other_than_two_classes_with_a_remedy(classes):
    config = Config(variant="reference")
    with pytest.raises(BadInput) as refused:
        check(config, classes)
    assert str(classes) in refused.value.what
    assert "xent" in refused.value.remedy
    with pytest.raises(BadInput):
        confidence.loss(config, torch.zeros(2, classes), torch.zeros(2, classes), 0.5, None)
    check(config, 2)
    check(Xent(), classes)


@pytest.mark.parametrize("variant", ["paper", "argmax"])
def test_the_others_serve_any_number_but_one(variant):
    with pytest.raises(BadInput):
        check(Config(variant=variant), 1)
    for classes in (2, 3, 10):
        check(Config(variant=variant), classes)
