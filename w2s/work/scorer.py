"""A model that scores batches: logits without gradient, on one device or on all ranks of a gang together."""

# B rows of a batch, C classes

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from w2s.learner import Learner
from w2s.work.dataset import Batch
from w2s.work.ranks import Ranks

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Scorer(ABC):
    """A model and the ranks that hold it. Every rank scores as many batches as every other: a pass may need them all."""

    def __init__(self, model: nn.Module, learner: Learner, ranks: Ranks) -> None:
        self.model, self.learner, self.ranks, self.device = model, learner, ranks, ranks.device

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B, C] in fp32, with gradient where torch records one."""
        logits = self._scores(batch).float()
        return logits.view(batch.rows, batch.candidates) if batch.candidates > 1 else logits

    def scores(self, batch: Batch, draw: int | None = None) -> Tensor:
        """Logits [B, C] in fp32, without gradient, on the CPU. `draw`: with dropout on, whose units this seed draws."""
        if draw is None:
            return self._quietly(self.forward, batch)
        with torch.random.fork_rng(devices=[] if self.device == "cpu" else None):
            torch.manual_seed(draw)
            return self._quietly(self.forward, batch, dropout=True)

    def outputs(self, batch: Batch) -> Tensor:
        """What the model says of every text of the batch, as it is, in fp32, without gradient, on the CPU."""
        return self._quietly(self._scores, batch).float()

    def _quietly(self, ask: Callable[[Batch], Tensor], batch: Batch, *, dropout: bool = False) -> Tensor:
        training = self.model.training
        self.model.train(dropout)
        with torch.no_grad():
            found = ask(batch.to(self.device))
        self.model.train(training)
        return found.cpu()

    @abstractmethod
    def _scores(self, batch: Batch) -> Tensor:
        """The model's raw output [B * candidates, K]."""


class PlainScorer(Scorer):
    """One model on one device."""

    def _scores(self, batch: Batch) -> Tensor:
        return plain_scores(self.model, batch, self.learner.precision, self.device)


def plain_scores(model: nn.Module, batch: Batch, precision: str, device: str) -> Tensor:
    """A forward pass in the learner's precision."""
    with autocast(precision, device):
        scores: Tensor = model(*asked(batch))
    return scores


def asked(batch: Batch) -> tuple[Tensor, ...]:
    """What a model is given of a batch; only classifiers know what to do with a shift."""
    shift = () if batch.shift_BTD is None else (batch.shift_BTD,)
    return (batch.input_ids, batch.attention_mask, *shift)


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """The forward pass's precision; nothing for fp32."""
    return nullcontext() if precision == "fp32" else torch.autocast(device, dtype=AUTOCAST[precision])
