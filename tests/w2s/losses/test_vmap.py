"""Many heads at once: every loss under `torch.func.vmap`, over models and over its own numbers, is the loss one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.w2s.losses.batches import known
from w2s.loss import LossConfig, compute, label_statistics, statistics
from w2s.registry import module, names

N = 20
CONFIGS = [(kind, {}) for kind in names("losses")] + [
    ("confidence", {"variant": "reference"}),
    ("confidence", {"variant": "argmax"}),
    ("confidence", {"prior": "half"}),
    ("window", {"by": "midweak"}),
    ("cace", {"by": "threshold"}),
    ("adaptive_confidence", {"direction": "flipped"}),
    ("edl", {"labels": "soft", "evidence": "softplus"}),
    ("generalised_xent", {"labels": "hard"}),
    ("xent", {"labels": "hard"}),
]
NAMES = ["-".join([kind, *map(str, changes.values())]) for kind, changes in CONFIGS]


@pytest.fixture(params=CONFIGS, ids=NAMES)
def config(request) -> LossConfig:
    kind, changes = request.param
    return module("losses", kind).Config(**changes)


@pytest.fixture(params=[2, 4])
def classes(request, config) -> int:
    if request.param != 2 and getattr(config, "variant", "") == "reference":
        pytest.skip("serves two classes")
    return int(request.param)


def models(classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and weights of three models: whole rows, rows that count for less, and trailing padding."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, N, classes, generator=generator, dtype=torch.float64)
    target = torch.rand(3, N, classes, generator=generator, dtype=torch.float64)
    weight = torch.ones(3, N, dtype=torch.float64)
    weight[1] = torch.rand(N, generator=generator, dtype=torch.float64)
    weight[2, 14:] = 0
    target = target / target.sum(-1, keepdim=True)
    target[2, 16:] = 0  # what is not a head's row may have no label at all
    return logits, target, weight


def numbers(config: LossConfig) -> dict[str, Tensor]:
    """Three values of every number of the config: its own among them, or beside it."""
    own = {name: value for name, value in config if isinstance(value, float)}
    return {
        name: torch.tensor([0.5, 0.8, 1.0] if value else [0.0, 0.1, 0.2], dtype=torch.float64) * (value or 1)
        for name, value in own.items()
    }


def weighted(config: LossConfig, logits: Tensor, target: Tensor, weight: Tensor, values: dict[str, Tensor]) -> Tensor:
    tried = config.model_copy(update=values)
    return weight * compute(tried, logits, target, 0.15, known(tried, logits, target, weight))


def total(config: LossConfig, logits: Tensor, target: Tensor, weight: Tensor, values: dict[str, Tensor]) -> Tensor:
    return weighted(config, logits, target, weight, values).sum()


@pytest.mark.parametrize("tensors", [False, True], ids=["numbers", "tensors"])
def test_values_and_gradients_are_those_one_by_one(config, classes, tensors):
    given = models(classes)
    values = numbers(config) if tensors else {}
    together = torch.func.vmap(lambda *args: weighted(config, *args))(*given, values)
    steps = torch.func.vmap(torch.func.grad(lambda z, *args: total(config, z, *args)))(*given, values)
    for i in range(3):
        logits, target, weight = (part[i] for part in given)
        # one by one as a recipe would have it, with bare numbers
        bare = config.model_copy(update={name: value[i].item() for name, value in values.items()})
        leaf = logits.clone().requires_grad_()
        alone = weighted(bare, leaf, target, weight, {})
        torch.testing.assert_close(together[i], alone, rtol=1e-12, atol=1e-13)
        (step,) = torch.autograd.grad(alone.sum(), leaf)
        torch.testing.assert_close(steps[i], step, rtol=1e-12, atol=1e-13)


def test_autograd_runs_through_the_batched_loss(config, classes):
    logits, target, weight = models(classes)
    leaf = logits.clone().requires_grad_()
    torch.func.vmap(lambda *args: total(config, *args, {}))(leaf, target, weight).sum().backward()
    steps = torch.func.vmap(torch.func.grad(lambda z, *args: total(config, z, *args, {})))(logits, target, weight)
    torch.testing.assert_close(leaf.grad, steps)


def test_rows_of_weight_zero_change_nothing(config, classes):
    logits, target, weight = (part[2] for part in models(classes))
    short = weighted(config, logits[:14], target[:14], weight[:14], {})
    found = label_statistics(config, target[:14]) | statistics(config, logits, target, weight)
    torch.testing.assert_close(compute(config, logits, target, 0.15, found)[:14], short)
