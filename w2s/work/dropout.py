"""A model asked with its dropout on. Every row has its own random numbers, so that no batch and no device count has a say."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cluster.errors import BadInput
from w2s.examples import hash_unit
from w2s.work.dataset import Dataset
from w2s.work.encode import Tokenizer
from w2s.work.scorer import Scorer

SEEDS = 2**53


def drawn_scores(
    scorer: Scorer, data: Dataset, tokenizer: Tokenizer, draw: int, told: Callable[[int], None] = lambda rows: None
) -> Tensor:
    """Logits [N, C] of every row under one draw of dropout, row by row; the ranks share the rows and each gets all of it.

    A row's draw depends on its id, the number of the draw, and the kind of device (CPU and GPU draw differently). One row at a
    time is slow: a batch draws for all its rows together, and each would then depend on its neighbours.
    """
    ranks = scorer.ranks
    logits_NC = torch.empty_like(data.target_NC)
    for start in range(0, len(data), ranks.count):
        # a forward pass may need every rank: at the end some repeat the last row
        turn = [min(start + rank, len(data) - 1) for rank in range(ranks.count)]
        own = turn[ranks.rank]
        seed = int(hash_unit("dropout", draw, data.ids[own]) * SEEDS)
        found = scorer.scores(data.batch([own], tokenizer), seed).to(ranks.device)
        for row, scores in zip(turn, ranks.gather(found), strict=True):
            logits_NC[row] = scores[0].cpu()
        told(min(len(data), start + ranks.count))
    return logits_NC


def check_dropout(model: nn.Module, where: str) -> None:
    """Raise BadInput for a model whose draws would all be the same."""
    drops = any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules())
    config = getattr(getattr(model, "body", None), "config", None)
    if not drops and not getattr(config, "attention_dropout", 0):
        what = "the model has no dropout, so every draw is the same"
        raise BadInput(where, what, "set over: members, or take a model with dropout (BERT, MiniLM, GPT-2)")
