"""What a step keeps: one micro-batch's activations at a time, and nothing at all once it is over."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from tests.conftest import toy_recipe
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.losses.confidence import Config as Confidence
from w2s.losses.xent import Config as Xent
from w2s.recipe import Recipe
from w2s.work.dataset import Batch
from w2s.work.model import load, set_training_mode
from w2s.work.ranks import Ranks
from w2s.work.stepper import Plain

ROWS = 16
LOSSES = [Xent(), Confidence(warmup=0)]


def stepper(loss: LossConfig) -> tuple[Plain, Any]:
    learner: Learner = Recipe.model_validate(toy_recipe(strong__head="normal")).strong
    model, tokenizer = load(learner, 2, 0)
    set_training_mode(model, dropout=False)
    return Plain(model, learner, loss, Ranks()), tokenizer


def batches(tokenizer: Any, micro: int, salt: str = "") -> list[Batch]:
    """Sixteen texts of one length as micro-batches of so many rows."""
    texts = [f"{salt}sentence {i:02d} about {'good' if i % 3 else 'bad'}".ljust(40, ".") for i in range(ROWS)]
    ids, mask = tokenizer.pad(tokenizer.encode(texts, 64)[0])
    w = torch.linspace(0.05, 0.95, ROWS)
    target = torch.stack([1 - w, w], dim=1)
    parts = zip(ids.split(micro), mask.split(micro), target.split(micro), strict=True)
    return [Batch(i, m, t, torch.ones(len(t)), 1) for i, m, t in parts]


class Kept:
    """A tensor that autograd holds for the backward pass."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class Meter:
    """How many bytes autograd holds at once, weights aside: now, and at most."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.now = self.most = 0
        self._own = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}

    def __enter__(self) -> Meter:
        self._hooks = saved_tensors_hooks(self._keep, lambda kept: kept.tensor)
        self._hooks.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._hooks.__exit__(*exc)

    def _keep(self, tensor: Tensor) -> Kept:
        kept = Kept(tensor)
        if tensor.untyped_storage().data_ptr() not in self._own:
            size = tensor.nbytes
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(kept, self._free, size)
        return kept

    def _free(self, size: int) -> None:
        self.now -= size


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_a_micro_batch_bounds_the_activations_that_are_held(loss: LossConfig) -> None:
    """Memory must follow the micro-batch, also where the loss needs a quantile over the whole batch.

    The released code keeps the graphs of all micro-batches until one backward pass at the end.
    """
    most = {}
    for micro in (ROWS, 4, 1):
        at, tokenizer = stepper(loss)
        with Meter(at.model) as meter:
            at.step(batches(tokenizer, micro), ROWS, 0.5, 1.0)
        assert meter.now == 0, "the backward pass frees what the forward pass kept"
        most[micro] = meter.most
    assert most[4] == pytest.approx(most[ROWS] / 4, rel=0.05)
    assert most[1] == pytest.approx(most[ROWS] / ROWS, rel=0.2)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_a_long_run_holds_no_more_than_a_short_one(loss: LossConfig) -> None:
    """Nothing is put by step after step; EleutherAI's buffer of predictions grows for the whole run."""
    at, tokenizer = stepper(loss)

    def alive(steps: int) -> int:
        for number in range(steps):
            at.step(batches(tokenizer, 4, f"{number} "), ROWS, 0.5, 1.0)
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    alive(2)  # the optimizer makes its moments at the first step
    assert alive(1) == alive(8)


@pytest.mark.parametrize("micro", [ROWS, 1])
def test_a_guess_knows_its_own_batch_and_no_earlier_one(micro: int) -> None:
    """The threshold is this batch's; EleutherAI cuts at a quantile of the last 32 predictions, whatever batch they are of."""
    at, tokenizer = stepper(Confidence(alpha=1, warmup=0))
    still = 0.0  # a learning rate of 0: the weights stay what they are
    first = at.step(batches(tokenizer, micro), ROWS, 0.5, still).loss
    at.step(batches(tokenizer, micro, "quite another "), ROWS, 0.5, still)
    assert at.step(batches(tokenizer, micro), ROWS, 0.5, still).loss == first
