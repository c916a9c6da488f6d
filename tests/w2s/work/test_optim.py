"""Schedules by their closed forms; groups of the optimizer."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from w2s.learner import Optim, Schedule
from w2s.work.optim import build, rate_factor


def test_cosine_goes_from_one_to_nearly_zero() -> None:
    schedule = Schedule(kind="cosine")
    assert rate_factor(schedule, 0, 100) == 1
    assert rate_factor(schedule, 50, 100) == pytest.approx(0.5)
    assert rate_factor(schedule, 99, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))


def test_linear_and_constant() -> None:
    assert [rate_factor(Schedule(kind="linear"), s, 4) for s in range(4)] == [1, 0.75, 0.5, 0.25]
    assert {rate_factor(Schedule(kind="constant"), s, 4) for s in range(4)} == {1}


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_warm_up_rises_to_the_full_rate_and_never_jumps(kind: str) -> None:
    schedule = Schedule(kind=kind, warmup=0.25)
    factors = [rate_factor(schedule, s, 200) for s in range(200)]
    assert factors[0] == pytest.approx(1 / 50)
    assert factors[49] == factors[50] == 1
    assert max(abs(a - b) for a, b in itertools.pairwise(factors)) <= 1 / 50 + 1e-9


def test_cosine_is_torchs_cosine() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    for step in range(30):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate_factor(Schedule(kind="cosine"), step, 30))
        optimizer.step()
        reference.step()


def test_head_rate_and_no_decay_of_biases() -> None:
    named = [("w", nn.Parameter(torch.zeros(2, 2)), False), ("b", nn.Parameter(torch.zeros(2)), False)]
    named.append(("head", nn.Parameter(torch.zeros(2, 2)), True))
    groups = build(Optim(lr=1e-4, head_lr=1e-2, weight_decay=0.1), named).param_groups
    assert [(g["lr"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (1e-4, 0.1, 1),
        (1e-4, 0, 1),
        (1e-2, 0.1, 1),
    ]


@pytest.mark.parametrize("kind", ["adamw", "adam", "adafactor"])
def test_every_optimizer_goes_downhill(kind: str) -> None:
    parameter = nn.Parameter(torch.full((3, 3), 2.0))
    optimizer = build(Optim(kind=kind, lr=0.1), [("w", parameter, False)])
    for _ in range(50):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    assert parameter.detach().abs().max() < 1
