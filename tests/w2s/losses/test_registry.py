"""Every loss in the folder keeps the promises a trainer relies on. A newcomer's file is found and checked unasked."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from cluster.errors import BadInput
from tests.w2s.losses.batches import known
from w2s.loss import LossConfig, check, compute, label_statistics, needs_statistics, statistics
from w2s.registry import module, names, summary, union

KINDS = names("losses")


def serves(config: LossConfig, n_classes: int) -> bool:
    try:
        check(config, n_classes)
    except BadInput:
        return False
    return True


def batch(classes: int, n: int = 24) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows from hardly decided to very sure ones, their soft labels, and weights of 1."""
    generator = torch.Generator().manual_seed(0)
    sure = torch.linspace(0.2, 4, n, dtype=torch.float64)[:, None]
    logits = sure * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    target = torch.rand(n, classes, generator=generator, dtype=torch.float64) ** 2
    return logits, target / target.sum(dim=1, keepdim=True), torch.ones(n, dtype=torch.float64)


@pytest.fixture(params=KINDS)
def config(request) -> LossConfig:
    return module("losses", request.param).Config()


@pytest.fixture(params=[2, 3, 5])
def classes(request, config) -> int:
    """A number of classes that the loss serves; every loss serves two."""
    if not serves(config, request.param):
        assert request.param != 2
        pytest.skip(f"{config.kind} refuses {request.param} classes")
    return int(request.param)


def test_there_are_losses():
    assert {"xent", "confidence", "product", "entropy", "window", "reverse_xent", "symmetric", "cace"} <= set(KINDS)
    assert {"adaptive_confidence", "edl", "generalised_xent", "brier"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_is_and_where_it_comes_from(kind):
    assert 20 < len(summary("losses", kind)) < 150
    assert re.search(r"\d{4}", summary("losses", kind)), (
        "name the paper or the source, with its year, in the first line"
    )
    assert module("losses", kind).loss.__doc__


def test_its_kind_is_its_file_and_its_defaults_are_legal(config):
    assert module("losses", config.kind).Config is type(config)
    assert isinstance(config, LossConfig)
    assert TypeAdapter(union("losses")).validate_python(config.dump()) == config
    assert TypeAdapter(union("losses")).validate_python(config.kind) == config
    assert all(info.description for name, info in type(config).model_fields.items() if name != "kind")


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5, 0.999])
def test_it_scores_every_row_finitely_and_can_be_followed_downhill(config, classes, progress):
    logits, target, weight = batch(classes)
    logits.requires_grad_()
    loss = compute(config, logits, target, progress, known(config, logits, target, weight))
    assert loss.shape == (24,)
    loss.mean().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    stepped = (logits - 1e-3 * logits.grad).detach()
    after = compute(config, stepped, target, progress, known(config, stepped, target, weight))
    assert after.mean() < loss.mean()


SILENT_WHEN_SURE = {"window"}  # a student that is sure is left alone, right or wrong


def test_perfect_agreement_costs_next_to_nothing_and_never_less(config, classes):
    certain = torch.eye(classes, dtype=torch.float64).repeat(8, 1)
    logits = 1e8 * certain
    found = known(config, logits, certain)
    loss = compute(config, logits, certain, 0.5, found)
    assert (loss >= -1e-12).all()
    assert (loss < 1e-6).all()
    wrong = compute(config, -logits, certain, 0.5, found)
    assert (wrong > 0.5).all() or config.kind in SILENT_WHEN_SURE


@pytest.mark.parametrize("progress", [0.0, 0.999])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_predictions_and_certain_labels_stay_finite(config, classes, dtype, progress):
    eye, even = torch.eye(classes, dtype=dtype), torch.full((classes, classes), 1 / classes, dtype=dtype)
    corners = torch.cat([1e4 * eye, -1e4 * eye, 1e4 * (2 * eye - 1), 0 * eye, 1e4 * eye - 1e4])
    logits = corners.repeat(3, 1).requires_grad_()
    labels = [eye.repeat(5, 1), eye.roll(1, 0).repeat(5, 1), even.repeat(5, 1)]
    target = torch.cat(labels)
    loss = compute(config, logits, target, progress, known(config, logits, target))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    assert loss.dtype == dtype


def test_it_does_not_depend_on_how_the_batch_is_cut_or_padded(config, classes):
    logits, target, weight = batch(classes)
    found = known(config, logits, target, weight)
    whole = compute(config, logits, target, 0.5, found)
    pieces = [compute(config, z, t, 0.5, found) for z, t in zip(logits.split(5), target.split(5), strict=True)]
    torch.testing.assert_close(torch.cat(pieces), whole)
    padded = label_statistics(config, target) | statistics(
        config, torch.cat([logits, -logits]), torch.cat([target, target]), torch.cat([weight, 0 * weight])
    )
    torch.testing.assert_close(compute(config, logits, target, 0.5, padded), whole)


def test_it_does_not_depend_on_the_order_of_rows(config, classes):
    logits, target, weight = batch(classes)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    whole = compute(config, logits, target, 0.5, known(config, logits, target, weight))
    logits, target = logits[order], target[order]
    torch.testing.assert_close(
        compute(config, logits, target, 0.5, known(config, logits, target, weight)), whole[order]
    )


def test_its_statistics_are_small_tensors_without_gradient(config, classes):
    logits, target, weight = batch(classes)
    logits.requires_grad_()
    target.requires_grad_()
    found = statistics(config, logits, target, weight)
    assert bool(found) == needs_statistics(config)
    of_labels = label_statistics(config, target)
    assert not set(found) & set(of_labels)
    for value in (found | of_labels).values():
        assert isinstance(value, torch.Tensor)
        assert not value.requires_grad
        assert value.numel() < 100


def test_it_changes_none_of_its_arguments(config, classes):
    logits, target, weight = batch(classes)
    before = logits.clone(), target.clone(), weight.clone()
    compute(config, logits, target, 0.5, known(config, logits, target, weight))
    assert all(torch.equal(a, b) for a, b in zip(before, (logits, target, weight), strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_scored_in_float32(config, classes, dtype):
    logits, target, weight = batch(classes)
    half, target, weight = logits.to(dtype), target.float(), weight.float()
    loss = compute(config, half, target, 0.5, known(config, half, target, weight))
    wide = compute(config, half.float(), target, 0.5, known(config, half.float(), target, weight))
    assert loss.dtype == torch.float32
    assert torch.equal(loss, wide)


BAD = [
    ("confidence", "alpha", 1.5), ("confidence", "warmup", -0.1), ("confidence", "variant", "openai"), ("confidence", "prior", 0.5),
    ("product", "alpha", -1), ("product", "beta", float("nan")), ("product", "warmup", 2), ("entropy", "alpha", -0.1),
    ("entropy", "warmup", 1.1), ("window", "radius", 0), ("window", "radius", "midweak"), ("window", "by", "median"),
    ("reverse_xent", "eps", 1), ("reverse_xent", "eps", -0.1), ("symmetric", "alpha", -1), ("symmetric", "beta", float("inf")),
    ("symmetric", "log_zero", 0), ("symmetric", "eps", 1), ("cace", "by", "median"), ("cace", "threshold", -0.1),
    ("cace", "quantile", 30), ("cace", "eps", 1), ("adaptive_confidence", "temperature", 0),
    ("adaptive_confidence", "direction", "backwards"), ("edl", "alpha", 2), ("edl", "anneal", -1), ("edl", "labels", "softish"),
    ("edl", "evidence", "exp"), ("generalised_xent", "q", 0), ("generalised_xent", "q", 1.1), ("generalised_xent", "labels", 1),
    ("xent", "labels", "softish"), ("brier", "alpha", 0.5),
]  # fmt: skip


@pytest.mark.parametrize("kind,field,value", BAD)
def test_a_bad_number_is_refused_in_one_line_that_names_it(kind, field, value):
    with pytest.raises(ValidationError) as refused:
        module("losses", kind).Config(**{field: value})
    (fault,) = refused.value.errors()
    # where several types are allowed, pydantic adds the one it took; `w2s.load` leaves that out
    assert tuple(step for step in fault["loc"] if "[" not in str(step)) == (field,)
    assert "\n" not in fault["msg"]


def test_no_loss_loads_torch_before_it_is_used():
    imports = f"import sys; from w2s.registry import module; [module('losses', kind) for kind in {KINDS!r}]"
    code = f"{imports}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_loss_that_says_it_is_fixed_does_not_change_as_training_goes_on(config, classes):
    """A line search compares values of one function: no ramp, nothing of the batch, and the slope is the value's own."""
    if not getattr(module("losses", config.kind), "FIXED", False):
        pytest.skip(f"{config.kind} does not say so")
    assert not needs_statistics(config)
    logits, target, _ = batch(classes)
    first = compute(config, logits, target, 0.0, known(config, logits, target))
    last = compute(config, logits, target, 0.99, known(config, logits, target))
    assert torch.equal(first, last)
    assert torch.autograd.gradcheck(
        lambda scores: compute(config, scores, target, 0.0, known(config, scores, target)).sum(),
        (logits.clone().requires_grad_(),),
    )
