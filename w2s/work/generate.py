"""The Generate stage: what a trained writer writes after each row's text, greedily."""

# N rows, M tokens of an answer at most

from __future__ import annotations

from typing import Any

import torch

from cluster.job import Context
from w2s.answers import AnswerTable
from w2s.learner import Learner
from w2s.work import language, sharded
from w2s.work.evaluate import all_scores, stoppable
from w2s.work.fitted import fitted_to_predict
from w2s.work.model import describe
from w2s.work.ranks import Ranks
from w2s.work.script import Script
from w2s.work.table import read_part
from w2s.work.writer import NOTHING, Writer


def run(context: Context) -> dict[str, Any]:
    """Write `answers.parquet`. Prompts are cut as they were when writing was learned, and counted."""
    ranks, most = Ranks.of(context), int(context.science["max_new_tokens"])
    rows = read_part(context, context.science["rows"])
    folder = context.inputs[context.science["model"]["key"]] / "model"
    learner = Learner.model_validate(describe(folder)["meta"]["learner"])  # its limits hold for writing as well
    context = fitted_to_predict(context, learner, ranks)
    with context.watch.busy():
        with sharded.loading(context.machines, learner, ranks, saved=True):
            whole, tokenizer = language.restore(folder)
        script = Script(tokenizer, learner.max_tokens, most)
        found = sharded.settings(context.machines, ranks)
        writer = Writer(whole, script.end, most, lockstep=found is not None and found.stage == 3)
        scorer = sharded.make_scorer(context.machines, writer, learner, ranks)
    data = script.to_ask(rows)
    told_N2M = all_scores(scorer, data, tokenizer, stoppable(context, ranks, len(rows), "row"))
    tokens_NM, log_probs_NM = told_N2M[:, :most].long(), told_N2M[:, most:].double()
    written_NM = tokens_NM != NOTHING
    total_N, count_N = log_probs_NM.sum(dim=1), written_NM.sum(dim=1)
    answers = AnswerTable(
        data.ids,
        tuple(script.text(row[kept].tolist()) for row, kept in zip(tokens_NM, written_NM, strict=True)),
        tuple(total_N.tolist()),
        tuple((total_N / count_N).tolist()),
    )
    ranks.together(lambda: answers.save(context.out) if ranks.first else None, context.name)
    return {
        "n": len(rows),
        "truncated": data.truncated,
        "unended": int((~(tokens_NM == script.end).any(dim=1)).sum()),
        "tokens": int(count_N.sum()),
        "mean_confidence": float(torch.exp(total_N).mean()),
    }
