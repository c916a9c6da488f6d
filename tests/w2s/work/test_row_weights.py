"""Labels with weights: a row of weight 0 is as if it were not there, one of weight 2 as if it were there twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work import gang
from tests.w2s.work.run_stage import Bench, weights
from w2s.labels import LabelTable
from w2s.learner import Learner
from w2s.losses.confidence import Config as Confidence
from w2s.losses.xent import Config as Xent
from w2s.recipe import Recipe
from w2s.stages import Probe, Train
from w2s.work.dataset import Dataset, encode
from w2s.work.model import load
from w2s.work.ranks import Ranks
from w2s.work.stepper import Plain
from w2s.work.table import RowTable

TEXTS = ("a clock", "the long river was", "was not good", "ugly", "a kind dog was here", "sad song")
SIZES = [0.0, 2.0, 1.0, 0.0, 3.0, 1.0]
LEARNER = Learner.model_validate(
    {
        "model": {"source": "tiny:bert", "width": 16},
        "head": "normal",
        "optim": {"lr": 1e-3, "clip": None},
        "max_tokens": 64,
    }
)


def data(rows: list[int], weight: list[float] | None, too_long: str = "truncate", most: int = 64) -> Dataset:
    one = torch.tensor([0.1, 0.8, 0.4, 0.9, 0.7, 0.2])[rows]
    table = RowTable(tuple(f"id {i}" for i in rows), tuple((TEXTS[i],) for i in rows), tuple(i % 2 for i in rows), 2)
    tokenizer = load(LEARNER, 2, 0)[1]
    target = torch.stack([1 - one, one], dim=1)
    return encode(tokenizer, table, target, most, too_long, None if weight is None else torch.tensor(weight))


def step(found: Dataset, loss: Any, micro: int) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step on all rows."""
    model, tokenizer = load(LEARNER, 2, 0)
    model.eval()
    stepper = Plain(model, LEARNER, loss, Ranks())
    pieces = [list(range(i, min(i + micro, len(found)))) for i in range(0, len(found), micro)]
    stepped = stepper.step([found.batch(piece, tokenizer) for piece in pieces], len(found), 0.9, 1.0)
    return stepped.loss, {name: parameter.grad.clone() for name, parameter, _ in stepper.named}


@pytest.mark.parametrize("loss", [Xent(), Confidence(alpha=0.5, warmup=0.0)], ids=["xent", "confidence"])
@pytest.mark.parametrize("micro", [10, 2, 1])
def test_weights_are_copies(loss: Any, micro: int) -> None:
    """Weights 0, 2, 1, 0, 3, 1 against a hand-made data set of 0, 2, 1, 0, 3, 1 copies: one loss and one gradient."""
    weighed, slopes = step(data(list(range(6)), SIZES), loss, micro)
    copied, expected = step(data([1, 1, 2, 4, 4, 4, 5], None), loss, 10)
    assert weighed == pytest.approx(copied, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(slopes[name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_weights_are_a_mean_of_one_over_what_is_kept() -> None:
    found = data(list(range(6)), SIZES)
    assert found.ids == ("id 1", "id 2", "id 4", "id 5")
    assert (found.unweighted, found.dropped) == (2, 0)
    np.testing.assert_allclose(found.weight_N, np.array([2, 1, 3, 1]) / 1.75, rtol=1e-6)
    longest = max(data(list(range(6)), None).lengths)
    short = data(list(range(6)), SIZES, "drop", longest - 1)
    assert (short.unweighted, short.dropped) == (2, 1)
    assert short.weight_N.mean().item() == pytest.approx(1)


def test_equal_weights_are_none_to_the_bit() -> None:
    plain, same = data(list(range(6)), None), data(list(range(6)), [0.3] * 6)
    assert torch.equal(plain.weight_N, same.weight_N)


def test_padding_counts_for_nothing() -> None:
    found = data(list(range(6)), SIZES)
    batch = found.batch([0, 2], load(LEARNER, 2, 0)[1], torch.tensor([0.0, 1.0]))
    np.testing.assert_allclose(batch.weight_B, [0, 3 / 1.75], rtol=1e-6)


def weighted(tmp_path: Path, **changes: Any) -> tuple[Bench, Train | Probe]:
    """The toy student, its labels given weights 0, 1 and 2 in turn."""
    made = Bench(Recipe.model_validate(toy_recipe(baselines=[], **changes)), tmp_path)
    stage = next(s for s in made.recipe.graph().values() if isinstance(s, Train | Probe) and s.labels is not None)
    made.prepare(stage)
    folder = made.out(stage.labels)
    table = LabelTable.load(folder)
    cycle = np.array([i % 3 for i in range(len(table.ids))], dtype=np.float64)
    dataclasses.replace(table, weights_N=cycle).save(folder)
    return made, stage


def test_what_is_kept_is_told(tmp_path: Path) -> None:
    made, stage = weighted(tmp_path / "train")
    metrics, ledger = made.run(stage)
    assert metrics["kept"] == metrics["rows"] - -(-metrics["rows"] // 3)
    assert any("rows left out: their labels have weight 0" in note for note in ledger.notes)
    assert metrics["planned_steps"] <= metrics["kept"] / stage.learner.batch + 1
    made, stage = weighted(tmp_path / "probe", strong={"model": {"source": "tiny:bert"}, "probe": {"l2": 0.01}})
    probed, _ = made.run(stage)
    assert (probed["rows"], probed["kept"]) == (metrics["rows"], metrics["kept"])


def test_how_a_batch_is_cut_does_not_change_the_result(tmp_path: Path) -> None:
    made, stage = weighted(tmp_path)
    made.run(stage, machines={"micro_batch": 16})
    whole = load_file(made.out(stage) / "model" / "model.safetensors")
    for micro in (4, 1):
        made.run(stage, machines={"micro_batch": micro}, work=f"micro{micro}")
        cut = load_file(made.out(stage) / "model" / "model.safetensors")
        for name, tensor in whole.items():
            np.testing.assert_allclose(cut[name].numpy(), tensor.numpy(), atol=2e-4, err_msg=name)


@pytest.mark.slow
def test_two_ranks_are_one_device(tmp_path: Path) -> None:
    """Under ZeRO-2, with micro-batches that do not divide the batch, so that some rows are padding."""
    made, stage = weighted(tmp_path)
    made.run(stage)
    alone = load_file(made.out(stage) / "model" / "model.safetensors")
    recipe = toy_recipe(baselines=[])
    case = gang.Case("two", {"zero": 2, "micro_batch": 3})
    result = gang.run(tmp_path, recipe, stage.key, [case], ranks=2)["two"]
    assert result.errors == [None, None]
    together = load_file(result.out / "model" / "model.safetensors")
    for name, tensor in alone.items():
        np.testing.assert_allclose(together[name].numpy(), tensor.numpy(), atol=2e-4, err_msg=name)
    assert result.metrics["kept"] < result.metrics["rows"]


def test_labels_of_no_weight_at_all_are_bad_input(tmp_path: Path) -> None:
    made, stage = weighted(tmp_path)
    table = LabelTable.load(made.out(stage.labels))
    dataclasses.replace(table, weights_N=np.zeros(len(table.ids))).save(made.out(stage.labels))
    with pytest.raises(BadInput, match=r"all \d+ labels have weight 0; let the filter keep more"):
        made.run(stage)


def test_a_filter_that_keeps_all_changes_nothing(tmp_path: Path) -> None:
    """The same rows, the same bytes."""
    method = {"kind": "filter", "keep": 1.0, "members": 2}
    recipe = Recipe.model_validate(toy_recipe(method=method, baselines=[{"kind": "naive", "members": 2}]))
    made = Bench(recipe, tmp_path)
    students = [s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None]
    assert len({student.key for student in students}) == 2
    made.prepare(*students)
    (one, first), (two, second) = ((made.run(s)[0], weights(made.out(s))) for s in students)
    assert first == second
    assert {**one, "tokens_per_s": 0} == {**two, "tokens_per_s": 0}
