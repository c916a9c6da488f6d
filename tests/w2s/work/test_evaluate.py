"""Evaluation while training: the same numbers whatever the student minimises, so that curves of two methods compare."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import toy_recipe
from w2s.loss import LossConfig
from w2s.losses.brier import Config as Brier
from w2s.losses.confidence import Config as Confidence
from w2s.losses.xent import Config as Xent
from w2s.recipe import Recipe
from w2s.work.dataset import encode
from w2s.work.evaluate import evaluate
from w2s.work.model import load, set_training_mode
from w2s.work.ranks import Ranks
from w2s.work.stepper import Plain
from w2s.work.table import RowTable

ROWS = 30


def rows() -> RowTable:
    texts = tuple((f"sentence {i} is {'good' if i % 3 else 'bad'}",) for i in range(ROWS))
    return RowTable(tuple(f"row {i}" for i in range(ROWS)), texts, tuple(int(i % 3 > 0) for i in range(ROWS)), 2)


@pytest.mark.parametrize("loss", [Xent(), Confidence(alpha=1, warmup=0), Brier()], ids=lambda loss: loss.kind)
def test_its_loss_is_cross_entropy_whatever_is_minimised(loss: LossConfig) -> None:
    """A fork evaluates by the training loss with the student's own guess at full weight: no two such curves compare."""
    learner = Recipe.model_validate(toy_recipe(strong__head="normal", strong__dropout=True)).strong
    model, tokenizer = load(learner, 2, 0)
    set_training_mode(model, dropout=True)
    with torch.no_grad():
        model.head.weight.mul_(50)
    w = torch.linspace(0.02, 0.9, ROWS)
    data = encode(tokenizer, rows(), torch.stack([1 - w, w], dim=1), 64, "truncate")
    found = evaluate(Plain(model, learner, loss, Ranks()), data, tokenizer)
    assert model.training, "and dropout is on again afterwards"
    with torch.no_grad():
        z = model.eval()(*tokenizer.pad([text for [text] in data.tokens])).double().numpy()
    log_p = z - np.logaddexp(z[:, :1], z[:, 1:])
    assert found["loss"] == pytest.approx(-(data.target_NC.numpy() * log_p).sum(axis=1).mean(), rel=1e-4)
    assert found["agreement"] == pytest.approx((z.argmax(1) == (w.numpy() > 0.5)).mean())
    assert found["accuracy"] == pytest.approx((z.argmax(1) == np.array(rows().labels)).mean())
