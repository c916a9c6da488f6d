"""The Adapt stage: a language model reads all texts of a part, next token by next token, before anyone asks it for labels.

It is trained by the same loop as a classifier: gangs, checkpoints and resuming are the loop's. A step's loss is the mean over
all tokens of its global batch, in nats.
"""

# N rows, K texts a row, M = N * K texts, T tokens, V vocabulary

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from cluster.errors import BadInput
from cluster.job import Context
from w2s.learner import Learner
from w2s.work import language, sharded
from w2s.work.batches import Indices
from w2s.work.dataset import Dataset, encode
from w2s.work.encode import Tokenizer
from w2s.work.fitted import fitted
from w2s.work.ranks import Ranks
from w2s.work.swap import swap_space
from w2s.work.table import RowTable, read_part
from w2s.work.train import Loop, ready
from w2s.work.unchanged import check_model

LOGITS_BYTES = (
    2**32
)  # for a micro-batch's logits, which no classifier has, and which the choice of a micro-batch knows not of
COPIES = 4 * 4  # as float32: what the model gave, widened, normalised, and the gradient


def run(context: Context) -> dict[str, Any]:
    """Write `model/`, a language model in the Hugging Face layout. Returns final metrics."""
    with swap_space(context) as own:
        return _run(own)


def _run(context: Context) -> dict[str, Any]:
    science, ranks = context.science, Ranks.of(context)
    learner = Learner.model_validate(science["learner"])
    rows = read_part(context, science["rows"])
    context.watch.note(f"{len(rows) * rows.candidates} texts to read; loading {learner.model.source}")
    context = fitted(context, learner, ranks)
    with context.watch.busy(), sharded.loading(context.machines, learner, ranks):
        model, tokenizer = language.load_to_learn(learner, science["seed"])
        check_model(context, learner.model)
    context = with_logits(context, tokenizer)
    data = texts(context, rows, learner, tokenizer)
    stepper = ready(context, learner, model, None, ranks, science["seed"])
    loop = Reading(context, learner, stepper, tokenizer, data, None, seed=science["seed"])
    _, seconds = loop.run()
    metrics = loop.metrics(seconds)

    def publish() -> None:
        if state is not None:  # the first rank's
            language.save(model.body, tokenizer, language.without_prefix(state), context.out / "model")

    with context.watch.busy():
        state = stepper.export()
        ranks.together(publish, context.name)
    return metrics


class Reading(Loop):
    """A loop whose loss is a mean over tokens: every token of a step counts alike, in a short text or a long one."""

    def _counts(self, rows: Indices) -> int:
        # a text's first token is not predicted
        return max(1, sum(len(self.data.tokens[row][0]) - 1 for row in rows))


def texts(context: Context, rows: RowTable, learner: Learner, tokenizer: Tokenizer) -> Dataset:
    """All texts of the rows, candidates one by one, as rows of their own without labels; each distinct text of a row once."""
    apart = [
        (f"{row_id}/{k}", text)
        for row_id, row in zip(rows.ids, rows.texts, strict=True)
        for k, text in enumerate(dict.fromkeys(row))
    ]
    alone = RowTable(tuple(i for i, _ in apart), tuple((text,) for _, text in apart), (0,) * len(apart), rows.n_classes)
    data = encode(tokenizer, alone, torch.zeros(len(alone), 1), learner.max_tokens, learner.too_long)
    if data.truncated or data.dropped:
        context.watch.note(
            f"{data.truncated} texts cut to {learner.max_tokens} tokens, {data.dropped} dropped as longer"
        )
    if not len(data):
        what = f"every text is longer than {learner.max_tokens} tokens"
        raise BadInput(context.name, what, "raise max_tokens, or set too_long: truncate")
    return data


def with_logits(context: Context, tokenizer: Tokenizer) -> Context:
    """The context with fewer tokens at once, where a large vocabulary's logits would take the room."""
    most = max(1, LOGITS_BYTES // (COPIES * len(tokenizer.hf)))
    fewer = min(int(context.machines["tokens_at_once"]), most)
    return dataclasses.replace(context, machines={**context.machines, "tokens_at_once": fewer})
