"""RAVEN's mixture, its slopes against autograd, its easy start, and what its weights do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.w2s.losses.batches import rows
from w2s.loss import Statistics, advanced, beginning, compute, hears_a_crowd, slopes
from w2s.losses.raven import LEAST, Config
from w2s.losses.xent import Config as Xent

QUICK = settings(deadline=None, max_examples=8)
SEEDS = st.integers(0, 10_000)
LATE = 0.9
OPTIONS: list[dict[str, Any]] = [
    {}, {"mix": "logit"}, {"simplex": "softmax"}, {"mix": "logit", "simplex": "softmax"}, {"entropy_bonus": 0.3},
    {"entropy_bonus": 0.3, "simplex": "softmax"}, {"easy": 1.0, "freeze": 0.0}, {"easy": 1.0, "freeze": 0.0, "mix": "logit"},
]  # fmt: skip


def crowd(seed: int, n: int = 12, members: int = 3, classes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [n, C], labels of a crowd [n, M, C], and weights on the simplex [M]."""
    generator = torch.Generator().manual_seed(seed)
    logits, _ = rows(seed, n, classes)
    labels = torch.rand(n, members, classes, generator=generator, dtype=torch.float64) ** 2 + 1e-3
    weight = torch.rand(members, generator=generator, dtype=torch.float64) + 0.1
    return logits, labels / labels.sum(dim=-1, keepdim=True), weight / weight.sum()


def told(config: Config, logits: Tensor, labels: Tensor, weight: Tensor, progress: float = LATE) -> Tensor:
    ones = torch.ones(len(logits), dtype=torch.float64)
    return slopes(config, logits, labels, ones, progress, {"weight": weight})["weight"]


def stepped(config: Config, weight: Tensor, slope: Tensor, progress: float = LATE) -> Tensor:
    return advanced(config, {"weight": weight}, {"weight": slope}, progress)["weight"]


@QUICK
@given(seed=SEEDS)
@pytest.mark.parametrize("options", OPTIONS)
def test_slopes_are_the_gradient_of_the_loss_in_the_weights(seed: int, options: dict[str, Any]) -> None:
    """Off the simplex, too: the renormalisation of the mixture is followed."""
    config = Config(**options)
    logits, labels, weight = crowd(seed)
    for point in (weight, 1.7 * weight):
        leaf = point.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(compute(config, logits, labels, LATE, {"weight": leaf}).sum(), leaf)
        torch.testing.assert_close(told(config, logits, labels, point), wanted, rtol=1e-9, atol=1e-11)


@QUICK
@given(seed=SEEDS)
@pytest.mark.parametrize("options", OPTIONS)
def test_a_step_is_gradient_descent_as_released_or_on_the_numbers_of_a_softmax(seed, options) -> None:
    config = Config(**options, weight_lr=0.05)
    logits, labels, weight = crowd(seed)
    moved = stepped(config, weight, told(config, logits, labels, weight) / len(logits))
    softmax = config.simplex == "softmax"
    leaf = (weight.log() + 0.7 if softmax else weight.clone()).requires_grad_()
    own = leaf.softmax(dim=-1) if softmax else leaf
    bonus = -(own * own.log()).sum()
    objective = compute(config, logits, labels, LATE, {"weight": own}).mean() - config.entropy_bonus * bonus
    (slope,) = torch.autograd.grad(objective, leaf)
    after = (leaf - 0.05 * slope).detach()
    clipped = after.clamp(min=LEAST)
    torch.testing.assert_close(moved, after.softmax(dim=-1) if softmax else clipped / clipped.sum())


@QUICK
@given(seed=SEEDS, progress=st.floats(0, 0.99))
@pytest.mark.parametrize("mix", ["prob", "logit"])
def test_a_crowd_of_one_is_cross_entropy(seed: int, progress: float, mix: str) -> None:
    logits, labels = rows(seed, classes=4)
    found = compute(Config(mix=mix), logits, labels, progress)
    torch.testing.assert_close(found, compute(Xent(), logits, labels, progress))
    alone = beginning(Config(mix=mix), labels)
    torch.testing.assert_close(compute(Config(mix=mix), logits, labels[:, None], progress, alone), found)


def test_mixtures_by_hand() -> None:
    labels = torch.tensor([[[0.9, 0.1], [0.4, 0.6]]], dtype=torch.float64)
    logits = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    log_f = logits.log_softmax(dim=-1)[0]
    even: Statistics = {"weight": torch.tensor([0.5, 0.5], dtype=torch.float64)}
    wanted = -(0.65 * log_f[0] + 0.35 * log_f[1])
    torch.testing.assert_close(compute(Config(), logits, labels, LATE, even)[0], wanted)
    odds = (9 * 4 / 6) ** 0.5  # geometric means
    wanted = -(odds / (1 + odds) * log_f[0] + 1 / (1 + odds) * log_f[1])
    torch.testing.assert_close(compute(Config(mix="logit"), logits, labels, LATE, even)[0], wanted)


def test_the_easy_start_heeds_rows_on_which_all_agree_and_divides_by_all() -> None:
    logits, labels, weight = crowd(3, n=40)
    config, known = Config(easy=0.5, freeze=0.0), {"weight": weight}
    named = labels.argmax(dim=-1)
    easy = (named == named[:, :1]).all(dim=1)
    assert 0 < easy.sum() < 40
    early, late = (compute(config, logits, labels, at, known) for at in (0.49, 0.5))
    assert torch.equal(early, torch.where(easy, late, 0.0)), "zeros, not rows left out: the mean is over the batch"
    all_told, some = told(config, logits, labels, weight, 0.49), told(config, logits[easy], labels[easy], weight, 0.5)
    torch.testing.assert_close(all_told, some)


def test_weights_wait_while_they_are_frozen() -> None:
    config, weight = Config(freeze=0.4), torch.tensor([0.2, 0.8], dtype=torch.float64)
    slope = torch.tensor([1.0, -1.0], dtype=torch.float64)
    assert torch.equal(stepped(config, weight, slope, 0.39), weight)
    assert stepped(config, weight, slope, 0.4)[1] > 0.8


@QUICK
@given(seed=SEEDS, lr=st.floats(1e-4, 100))
@pytest.mark.parametrize("options", OPTIONS)
def test_weights_stay_on_the_simplex(seed: int, lr: float, options: dict[str, Any]) -> None:
    config = Config(**options, weight_lr=lr)
    logits, labels, weight = crowd(seed, members=5)
    for _ in range(20):
        weight = stepped(config, weight, told(config, logits, labels, weight) / len(logits))
        assert (weight >= 0).all()
        assert weight.sum().item() == pytest.approx(1, abs=1e-12)
    assert config.simplex != "clip" or (weight > 0).all(), "nobody is silenced for good"


@pytest.mark.parametrize("options", OPTIONS)
def test_equal_supervisors_keep_equal_weights(options: dict[str, Any]) -> None:
    config = Config(**options, weight_lr=0.3)
    logits, labels, _ = crowd(1)
    labels = labels[:, :1].expand(-1, 4, -1)
    weight = beginning(config, labels)["weight"]
    for _ in range(50):
        weight = stepped(config, weight, told(config, logits, labels, weight) / len(logits))
    torch.testing.assert_close(weight, torch.full((4,), 0.25, dtype=torch.float64))


@QUICK
@given(seed=SEEDS)
@pytest.mark.parametrize("simplex", ["clip", "softmax"])
def test_whom_the_student_predicts_best_gains_and_whom_worst_loses(seed: int, simplex: str) -> None:
    """By mean cross-entropy of each one's labels under the student."""
    config = Config(simplex=simplex, weight_lr=1e-3)
    logits, labels, _ = crowd(seed, members=4)
    before = beginning(config, labels)["weight"]
    after = stepped(config, before, told(config, logits, labels, before) / len(logits))
    cost = torch.stack([compute(Xent(), logits, labels[:, k], LATE).mean() for k in range(4)])
    assert after[cost.argmin()] > before[0] > after[cost.argmax()]
    assert torch.equal(after.argsort(descending=True), cost.argsort())


def test_an_entropy_bonus_draws_weights_together() -> None:
    weight, flat = torch.tensor([0.9, 0.1], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for simplex in ("clip", "softmax"):
        assert torch.equal(stepped(Config(simplex=simplex), weight, flat).round(decimals=12), weight)
        assert stepped(Config(simplex=simplex, entropy_bonus=1.0), weight, flat)[0] < 0.9


def test_beginnings() -> None:
    _, labels, _ = crowd(2, n=50)
    assert beginning(Config(), labels)["weight"].tolist() == [1 / 3] * 3
    drawn = [beginning(Config(start="random", seed=seed), labels)["weight"] for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert all(one.sum().item() == pytest.approx(1) and (one > 0).all() for one in drawn)
    entropy = -(labels * labels.log()).sum(dim=-1).mean(dim=0)
    torch.testing.assert_close(
        beginning(Config(start="entropy"), labels)["weight"], (1 / entropy) / (1 / entropy).sum()
    )
    certain = torch.eye(3, dtype=torch.float64)[:, None].expand(-1, 2, -1)
    assert beginning(Config(start="entropy"), certain)["weight"].tolist() == [0.5, 0.5]


def test_padding_teaches_the_weights_nothing() -> None:
    logits, labels, weight = crowd(4)
    whole = told(Config(), logits, labels, weight)
    padded_logits, padded = torch.cat([logits, logits]), torch.cat([labels, torch.zeros_like(labels)])
    counts = torch.cat([torch.ones(12), torch.zeros(12)]).double()
    found = slopes(Config(), padded_logits, padded, counts, LATE, {"weight": weight})["weight"]
    torch.testing.assert_close(found, whole)


def test_it_hears_a_crowd() -> None:
    assert hears_a_crowd(Config())
    assert not hears_a_crowd(Xent())
