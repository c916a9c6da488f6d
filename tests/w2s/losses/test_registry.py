"""Every loss in the folder keeps the promises a trainer relies on. A newcomer's file is found and checked unasked."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter

from cluster.errors import BadInput
from w2s.loss import LossConfig, check, compute, needs_statistics, statistics
from w2s.registry import module, names, summary, union

KINDS = names("losses")


def serves(config: LossConfig, n_classes: int) -> bool:
    try:
        check(config, n_classes)
    except BadInput:
        return False
    return True


def classes_of(config: LossConfig) -> int:
    return next(n for n in (3, 2) if serves(config, n))


def batch(config: LossConfig, n: int = 24) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator, classes = torch.Generator().manual_seed(0), classes_of(config)
    logits = 3 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    target = torch.rand(n, classes, generator=generator, dtype=torch.float64) ** 2
    return logits, target / target.sum(dim=1, keepdim=True), torch.ones(n, dtype=torch.float64)


@pytest.fixture(params=KINDS)
def config(request) -> LossConfig:
    return module("losses", request.param).Config()


def test_there_are_losses():
    assert {"xent", "confidence"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_is_and_where_it_comes_from(kind):
    assert 20 < len(summary("losses", kind)) < 150
    text = module("losses", kind).__doc__
    assert re.search(r"\d{4}", text), "name the paper or the source, with its year"
    assert module("losses", kind).loss.__doc__


def test_its_kind_is_its_file_and_its_defaults_are_legal(config):
    assert module("losses", config.kind).Config is type(config)
    assert isinstance(config, LossConfig)
    assert TypeAdapter(union("losses")).validate_python(config.dump()) == config
    assert TypeAdapter(union("losses")).validate_python(config.kind) == config
    assert all(info.description for name, info in type(config).model_fields.items() if name != "kind")


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5, 0.999])
def test_it_scores_every_row_finitely_and_can_be_followed_downhill(config, progress):
    logits, target, weight = batch(config)
    logits.requires_grad_()
    loss = compute(config, logits, target, progress, statistics(config, logits, target, weight))
    assert loss.shape == (24,)
    loss.mean().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    stepped = (logits - 1e-3 * logits.grad).detach()
    after = compute(config, stepped, target, progress, statistics(config, logits, target, weight))
    assert after.mean() < loss.mean()


def test_perfect_agreement_costs_next_to_nothing_and_never_less(config):
    classes = classes_of(config)
    certain = torch.eye(classes, dtype=torch.float64).repeat(8, 1)
    logits = 40 * certain
    found = statistics(config, logits, certain, torch.ones(len(certain)))
    loss = compute(config, logits, certain, 0.5, found)
    assert (loss >= 0).all()
    assert (loss < 1e-6).all()
    assert (compute(config, -logits, certain, 0.5, found) > 1).all()


def test_it_does_not_depend_on_how_the_batch_is_cut_or_padded(config):
    logits, target, weight = batch(config)
    found = statistics(config, logits, target, weight)
    whole = compute(config, logits, target, 0.5, found)
    pieces = [compute(config, z, t, 0.5, found) for z, t in zip(logits.split(5), target.split(5), strict=True)]
    torch.testing.assert_close(torch.cat(pieces), whole)
    padded = statistics(
        config, torch.cat([logits, -logits]), torch.cat([target, target]), torch.cat([weight, 0 * weight])
    )
    torch.testing.assert_close(compute(config, logits, target, 0.5, padded), whole)


def test_its_statistics_are_small_tensors_without_gradient(config):
    logits, target, weight = batch(config)
    found = statistics(config, logits.requires_grad_(), target, weight)
    assert bool(found) == needs_statistics(config)
    for value in found.values():
        assert isinstance(value, torch.Tensor)
        assert not value.requires_grad
        assert value.numel() < 100


def test_it_changes_none_of_its_arguments(config):
    logits, target, weight = batch(config)
    before = logits.clone(), target.clone(), weight.clone()
    compute(config, logits, target, 0.5, statistics(config, logits, target, weight))
    assert all(torch.equal(a, b) for a, b in zip(before, (logits, target, weight), strict=True))


def test_half_precision_logits_are_welcome(config):
    logits, target, weight = batch(config)
    logits = logits.bfloat16()
    loss = compute(config, logits, target.float(), 0.5, statistics(config, logits, target.float(), weight.float()))
    assert loss.dtype == torch.float32


def test_no_loss_loads_torch_before_it_is_used():
    imports = f"import sys; from w2s.registry import module; [module('losses', kind) for kind in {KINDS!r}]"
    code = f"{imports}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
