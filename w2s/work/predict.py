"""The Predict stage: a trained model's class probabilities on some rows."""

# N rows, C classes

from __future__ import annotations

from typing import Any

import torch

from cluster.job import Context
from w2s.labels import LabelTable, softmax
from w2s.learner import Learner
from w2s.work import sharded
from w2s.work.dataset import encode
from w2s.work.dropout import check_dropout, drawn_scores
from w2s.work.evaluate import all_scores, stoppable
from w2s.work.fitted import fitted_to_predict
from w2s.work.model import describe, restore
from w2s.work.ranks import Ranks
from w2s.work.table import read_part


def run(context: Context) -> dict[str, Any]:
    """Write `labels.parquet`. Long texts are cut (a row without a label would break every join), and counted."""
    ranks = Ranks.of(context)
    rows = read_part(context, context.science["rows"])
    folder = context.inputs[context.science["model"]["key"]] / "model"
    learner = Learner.model_validate(describe(folder)["meta"]["learner"])  # its limits hold for prediction as well
    context = fitted_to_predict(context, learner, ranks)
    with context.watch.busy():
        with sharded.loading(context.machines, learner, ranks, saved=True):
            model, tokenizer = restore(folder)
        scorer = sharded.make_scorer(context.machines, model, learner, ranks)
    data = encode(tokenizer, rows, torch.zeros(len(rows), rows.n_classes), learner.max_tokens, "truncate")

    draw, told = context.science.get("draw"), stoppable(context, ranks, len(rows), "row")
    if draw is None:
        logits_NC = all_scores(scorer, data, tokenizer, told).double().numpy()
    else:
        check_dropout(model, context.name)
        logits_NC = drawn_scores(scorer, data, tokenizer, draw, told).double().numpy()
    probs_NC = softmax(logits_NC)
    ranks.together(
        lambda: LabelTable(data.ids, probs_NC, logits_NC).save(context.out) if ranks.first else None, context.name
    )
    return {"n": len(rows), "truncated": data.truncated, "mean_confidence": float(probs_NC.max(axis=-1).mean())}
