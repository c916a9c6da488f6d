"""A loss that must know all the labels is told of them before the first step, and of the same ones after a break."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.errors import Interrupted
from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench, rekeyed, weights
from w2s import loss as losses
from w2s.labels import LabelTable
from w2s.loss import LossConfig
from w2s.losses.cace import Config as Cace
from w2s.losses.confidence import Config as Confidence
from w2s.losses.window import Config as Window
from w2s.recipe import Recipe
from w2s.stages import Train


@pytest.fixture
def told(monkeypatch) -> list[dict[str, float]]:
    """What the loss was given at each micro-batch."""
    found: list[dict[str, float]] = []
    compute = losses.compute

    def listening(config, logits, target, progress, statistics=None):
        found.append({name: value.item() for name, value in (statistics or {}).items()})
        return compute(config, logits, target, progress, statistics)

    monkeypatch.setattr(losses, "compute", listening)
    return found


def bench(tmp_path: Path, loss: LossConfig) -> tuple[Bench, Train, np.ndarray]:
    """A student that learns by this loss, and the labels it learns from."""
    recipe = Recipe.model_validate(toy_recipe(strong__epochs=1))
    stage = next(s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None)
    made, stage = Bench(recipe, tmp_path), rekeyed(stage, loss=loss)
    made.prepare(stage)
    return made, stage, LabelTable.load(made.out(stage.labels)).probs_NC


def stop_after(steps: int):
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


@pytest.mark.parametrize("loss", [Window(by="midweak"), Cace(quantile=0.3)], ids=lambda loss: loss.kind)
def test_the_statistic_is_of_all_labels_and_the_same_after_a_break(tmp_path, loss, told):
    made, stage, probs = bench(tmp_path, loss)
    told.clear()  # what the supervisor's training was told
    made.run(stage)
    unbroken, steps = weights(made.out(stage)), len(told)
    sure = np.abs(probs[:, 1].astype(np.float32) - 0.5)
    name, share = ("radius", 0.5) if loss.kind == "window" else ("threshold", 0.3)
    assert {tuple(found) for found in told} == {(name,)}
    assert {found[name] for found in told} == {told[0][name]}
    assert told[0][name] == pytest.approx(np.quantile(sure, share), rel=1e-5)
    first, told[:] = dict(told[0]), []
    with pytest.raises(Interrupted):
        made.run(stage, stop=stop_after(3), work="again")
    made.run(stage, work="again")
    assert told == [first] * steps
    assert weights(made.out(stage)) == unbroken


def test_a_loss_may_know_both_the_labels_and_the_batch(tmp_path, told, monkeypatch):
    """No loss needs both today; the stepper hands over both in one dict, however the batch is cut."""
    from w2s.losses import confidence

    monkeypatch.setattr(
        confidence, "label_statistics", lambda config, target: {"rows": torch.tensor(float(len(target)))}, raising=False
    )
    made, stage, probs = bench(tmp_path, Confidence())
    told.clear()
    for size in (4, 64):
        made.run(stage, machines={"micro_batch": size}, work=f"micro{size}")
    assert {tuple(sorted(found)) for found in told} == {("prior", "rows", "threshold")}
    assert {found["rows"] for found in told} == {len(probs)}


@pytest.mark.parametrize(
    "loss", [Window(by="midweak"), Cace(), Confidence(variant="argmax")], ids=lambda loss: loss.kind
)
def test_how_a_batch_is_cut_does_not_change_the_result(tmp_path, loss):
    made, stage, _ = bench(tmp_path, loss)
    found = []
    for size in (2, 64):
        made.run(stage, machines={"micro_batch": size}, work=f"micro{size}")
        found.append({name: np.frombuffer(raw, np.float32) for name, raw in weights(made.out(stage)).items()})
    for name, whole in found[1].items():
        # AdamW divides by the root of a squared gradient: where that is near 0, rounding shows in full
        np.testing.assert_allclose(found[0][name], whole, atol=2e-4)
