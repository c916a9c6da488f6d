"""A model held against held-out rows while it trains."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cluster.errors import Interrupted
from cluster.job import Context
from w2s.work.batches import by_length
from w2s.work.dataset import Dataset
from w2s.work.marks import marks
from w2s.work.model import Tokenizer
from w2s.work.ranks import Ranks
from w2s.work.scorer import Scorer

PREDICT_TOKENS = 8_192  # padded tokens per forward pass


def evaluate(
    scorer: Scorer, data: Dataset, tokenizer: Tokenizer, told: Callable[[int], None] = lambda rows: None
) -> dict[str, float]:
    """Its `marks` against the labels it learns from and ground truth. The same numbers on every rank."""
    return marks(all_scores(scorer, data, tokenizer, told), data.target_NC, data.truth_N)


def stoppable(context: Context, ranks: Ranks, total: int, unit: str) -> Callable[[int], None]:
    """A listener for `all_scores` that shows how far it is, and raises Interrupted on all ranks where one is asked to stop."""

    def told(done: int) -> None:
        context.watch.progress(done, total, unit)
        if ranks.add([float(context.stop())])[0] > 0 and done < total:
            what = f"stopped after {done} of {total} {unit}s"
            raise Interrupted(context.name, what, "the same command starts it again")

    return told


def all_scores(
    scorer: Scorer, data: Dataset, tokenizer: Tokenizer, told: Callable[[int], None] = lambda rows: None
) -> Tensor:
    """Logits [N, C] of every row, in the dataset's order; the ranks share the work and each gets all of it.

    `told` hears, on every rank, how many rows are done.
    """
    ranks = scorer.ranks
    batches = list(by_length(data.lengths, PREDICT_TOKENS // data.candidates))
    rounds = -(-len(batches) // ranks.count)
    logits_NC = torch.empty_like(data.target_NC)
    done = 0
    for number in range(rounds):
        # a forward pass may need every rank: in the last round some repeat a batch
        turn = [batches[min(number * ranks.count + rank, len(batches) - 1)] for rank in range(ranks.count)]
        own = scorer.scores(data.batch(turn[ranks.rank].tolist(), tokenizer)).to(ranks.device)
        for rows, found in zip(turn, ranks.gather(own), strict=True):
            logits_NC[rows.tolist()] = found.cpu()
        done = min(len(data), done + sum(len(rows) for rows in turn))
        told(done)
    return logits_NC
