"""The Write stage: a language model is finetuned to write the answers of a part after their prompts.

It is trained by the same loop as a classifier. A step's loss is the mean over all answer tokens (the end after each among them)
of its global batch, in nats: every token counts alike, in a short answer or a long one, however the batch is cut.
"""

# N rows

from __future__ import annotations

import json
from typing import Any

from cluster.errors import BadInput, StageFailed
from cluster.job import Context
from w2s.answers import AnswerTable
from w2s.learner import Learner
from w2s.work import card, language, sharded
from w2s.work.adapt import with_logits
from w2s.work.batches import Indices
from w2s.work.card_code import WRITES
from w2s.work.fitted import fitted
from w2s.work.model import ABOUT, FORMAT
from w2s.work.ranks import Ranks
from w2s.work.script import Answering, Script
from w2s.work.swap import swap_space
from w2s.work.table import RowTable, read_part
from w2s.work.train import Loop, ready
from w2s.work.unchanged import check_model


def run(context: Context) -> dict[str, Any]:
    """Write `model/`, a language model in the Hugging Face layout with `w2s.json` and a card. Returns final metrics."""
    with swap_space(context) as own:
        return _run(own)


def _run(context: Context) -> dict[str, Any]:
    science, ranks = context.science, Ranks.of(context)
    learner = Learner.model_validate(science["learner"])
    rows = read_part(context, science["rows"])
    context.watch.note(f"{len(rows)} answers to learn; loading {learner.model.source}")
    context = fitted(context, learner, ranks)
    with context.watch.busy(), sharded.loading(context.machines, learner, ranks):
        model, tokenizer = language.load_to_learn(learner, science["seed"], loss=language.AnswerLoss)
        check_model(context, learner.model)
    context = with_logits(context, tokenizer)
    script = Script(tokenizer, learner.max_tokens, science["max_new_tokens"])
    data = _dataset(context, script, rows, learner)
    stepper = ready(context, learner, model, None, ranks, science["seed"])
    loop = Writing(context, learner, stepper, tokenizer, data, None, seed=science["seed"])
    _, seconds = loop.run()
    metrics = {**loop.metrics(seconds), "answers_cut": data.answers_cut, "answer_tokens": sum(data.answer_tokens)}

    def publish() -> None:
        if state is None:  # not the first rank
            return
        folder = context.out / "model"
        language.save(model.body, tokenizer, language.without_prefix(state), folder)
        (folder / ABOUT).write_text(json.dumps(_about(context), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        card.write(folder, card.of_training(context, metrics))

    with context.watch.busy():
        state = stepper.export()
        ranks.together(publish, context.name)
    return metrics


class Writing(Loop):
    """A loop whose loss is a mean over answers' tokens."""

    data: Answering

    def _counts(self, rows: Indices) -> int:
        return sum(self.data.answer_tokens[row] for row in rows)


def _dataset(context: Context, script: Script, rows: RowTable, learner: Learner) -> Answering:
    """The rows with their true answers, or with those that were written for them."""
    labels, true = context.science["labels"], rows.answers
    if labels is not None:
        answers = AnswerTable.load(context.inputs[labels["key"]]).join(rows.ids, context.name).texts
    elif true is not None:
        answers = true
    else:
        raise StageFailed(context.name, "its rows have no answers", "run `w2s verify`")
    data = script.to_learn(rows, answers, learner.too_long)
    if data.truncated or data.dropped:
        what = f"{data.truncated} prompts lost their beginning to keep within {learner.max_tokens} tokens"
        context.watch.note(f"{what}, {data.dropped} rows dropped as longer")
    if data.answers_cut:
        context.watch.note(f"{data.answers_cut} answers cut to {context.science['max_new_tokens']} tokens")
    if not len(data):
        what = f"every row is longer than {learner.max_tokens} tokens"
        raise BadInput(context.name, what, "raise max_tokens, or set too_long: truncate")
    return data


def _about(context: Context) -> dict[str, Any]:
    """The folder's w2s.json."""
    names = ("learner", "loss", "seed", "max_new_tokens")
    meta = {"stage": context.key, "name": context.name, **{name: context.science[name] for name in names}}
    return {"format": FORMAT, "form": WRITES, "meta": meta}
