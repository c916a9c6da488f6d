"""The marks of a model on held-out rows: against the report's own misfit, the binary formula, and what must hold of any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.metrics import misfit
from w2s.recipe import Recipe
from w2s.stages import Model
from w2s.work.marks import curve_name, marks

N = 200


def drawn(classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits as a model gives them (float32), soft labels, truth."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(N, classes, generator=generator)
    target = torch.softmax(2 * torch.randn(N, classes, generator=generator), dim=-1)
    return logits, target, torch.randint(classes, (N,), generator=generator)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_misfit_is_the_one_that_reports_tell(classes: int) -> None:
    logits, target, truth = drawn(classes)
    student, supervisor = (t.double().numpy() for t in (logits.double().softmax(-1), target))
    told = misfit(student, supervisor / supervisor.sum(-1, keepdims=True), truth.numpy())
    found = marks(logits, target, truth)
    assert found["misfit"] == pytest.approx(told["misfit_reverse"].mean, rel=1e-6)
    assert found["agreement"] == pytest.approx(1 - told["disagreement"].mean)
    assert found["confidence"] == pytest.approx(student.max(axis=-1).mean())


def test_two_classes_by_the_formula_of_a_bernoulli_divergence() -> None:
    logits, target, truth = drawn(2)
    f, w = logits.double().softmax(-1)[:, 1].numpy(), target.double()[:, 1].numpy()
    f, w = f.clip(1e-6, 1 - 1e-6), w.clip(1e-6, 1 - 1e-6)
    wanted = (f * np.log(f / w) + (1 - f) * np.log((1 - f) / (1 - w))).mean()
    assert marks(logits, target, truth)["misfit"] == pytest.approx(wanted, rel=1e-5)


def test_a_student_that_says_what_it_was_told_has_no_misfit() -> None:
    _, target, truth = drawn(3)
    found = marks(target.log(), target, truth)
    assert found["misfit"] == pytest.approx(0, abs=1e-12)
    assert found["agreement"] == 1
    assert found["confidence"] == pytest.approx(target.amax(dim=-1).double().mean().item())


def test_a_sure_mistake_costs_no_more_than_the_clip_lets_it() -> None:
    logits, target = torch.tensor([[-200.0, 200.0]]), torch.tensor([[1.0, 0.0]])
    found = marks(logits, target, torch.tensor([0]))
    assert found["misfit"] == pytest.approx(np.log(1e6), rel=1e-3)
    assert (found["confidence"], found["accuracy"]) == (1.0, 0.0)


def test_what_is_no_number_is_passed_on_not_raised() -> None:
    found = marks(torch.full((2, 2), float("nan")), torch.eye(2), torch.tensor([0, 1]))
    assert np.isnan(found["misfit"])
    assert np.isnan(found["confidence"])


@pytest.mark.parametrize("strong", [{}, {"probe": {"steps": 20, "l2": 0.01}}], ids=["finetuned", "probe"])
def test_curve_and_receipt_have_every_mark(strong: dict[str, Any], tmp_path: Path) -> None:
    own = {"model": {"source": "tiny:bert", "width": 32, "depth": 2}, "max_tokens": 64, **strong}
    recipe = Recipe.model_validate(toy_recipe(strong=own, baselines=[]))
    bench = Bench(recipe, tmp_path)
    stage = next(s for s in recipe.graph().values() if isinstance(s, Model) and s.labels is not None)
    bench.prepare(stage)
    metrics, _ = bench.run(stage)
    last = json.loads((bench.out(stage) / "curve.json").read_text())[-1]
    assert set(last) == {"step", "agreement", "accuracy", "loss", "confidence", "misfit"}
    assert {f"val_{name}": value for name, value in last.items() if name != "step"}.items() <= metrics.items()
    assert 0.5 <= last["confidence"] <= 1
    assert last["misfit"] >= 0


def test_what_only_ground_truth_can_tell_of_a_student_is_named_oracle() -> None:
    every = ("agreement", "accuracy", "loss", "confidence", "misfit")
    taught = {mark: curve_name(mark, from_truth=True, select="last") for mark in every}
    assert taught == {mark: f"eval/{mark}" for mark in every}, "it learned from the truth"
    student = {mark: curve_name(mark, from_truth=False, select="best") for mark in every}
    assert student == {**taught, "accuracy": "oracle/accuracy"}
    helped = {mark: curve_name(mark, from_truth=False, select="oracle") for mark in every}
    assert helped == {**{mark: f"oracle/{mark}" for mark in every}, "confidence": "eval/confidence"}
