"""The Prompted stage: class probabilities of a language model that is asked in words, with or without examples, and not trained.

A class's probability is that of its word's first token right after the question, among the classes' words, calibrated. Where
candidates are scored, each is asked about alone, and the log odds of the second word against the first are its score.
"""

# N rows, K candidates a row (or 1), W words, M = N * K questions

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cluster.errors import BadInput
from cluster.job import Context
from w2s.examples import hash_unit
from w2s.labels import Floats, LabelTable, softmax
from w2s.learner import Learner, ModelRef
from w2s.prompt import Prompt
from w2s.work import calibrate, language, sharded
from w2s.work.dataset import Dataset
from w2s.work.evaluate import all_scores, stoppable
from w2s.work.next_word import NextWord
from w2s.work.prompts import Asker, Question, Shot, draw
from w2s.work.ranks import Ranks
from w2s.work.table import RowTable, read_part
from w2s.work.unchanged import check_model

SHOTS = "shots.json"
PRIOR_ROWS = 256  # so many drawn rows tell a mean probability to two digits


def run(context: Context) -> dict[str, Any]:
    """Write `labels.parquet`, `question.txt` (an empty text as it is asked about) and `shots.json` (ids of rows that are shown)."""
    science, ranks = context.science, Ranks.of(context)
    prompt = Prompt.model_validate(science["prompt"])
    rows = read_part(context, science["rows"])
    _check(prompt, rows)
    drawn = None if science["drawn_from"] is None else read_part(context, science["drawn_from"])
    shots = [] if drawn is None else _shots(context, drawn, len(prompt.words))
    reference = ModelRef.model_validate(science["model"])
    learner = Learner(model=reference, max_tokens=science["max_tokens"], precision=science["precision"])
    with context.watch.busy():
        with sharded.loading(context.machines, learner, ranks):
            whole, tokenizer = language.load(reference)
        language.check_length(whole, reference, learner.max_tokens)
        check_model(context, reference)
        asker = Asker(prompt, shots, tokenizer, learner.max_tokens)
        scorer = sharded.make_scorer(context.machines, NextWord(whole, asker.words), learner, ranks)
    asked = [asker.ask(text, row_id) for row_id, texts in zip(rows.ids, rows.texts, strict=True) for text in texts]
    probing = _probing(context, asker, drawn)
    questions = [*asked, *probing]
    told = stoppable(context, ranks, len(questions), "question")
    log_probs = all_scores(scorer, _dataset(questions, len(prompt.words)), tokenizer, told).double().numpy()
    bias_W = _bias(context, log_probs[len(asked) :], drawn)
    log_probs_MW = log_probs[: len(asked)]
    table = LabelTable(rows.ids, *answers(log_probs_MW + bias_W, rows.candidates))

    def publish() -> None:
        if ranks.first:
            table.save(context.out)
            (context.out / "question.txt").write_text(asker.written(""), encoding="utf-8")
            (context.out / SHOTS).write_text(json.dumps([shot.id for shot in asker.shots]), encoding="utf-8")

    ranks.together(publish, context.name)
    return {
        "n": len(rows),
        "shots": [sum(shot.label == label for shot in shots) for label in range(len(prompt.words))],
        "fewer_shots": sum(question.shots_left_out > 0 for question in asked),
        "truncated": sum(question.cut for question in asked),
        "mean_confidence": float(table.probs_NC.max(axis=-1).mean()),
        "words_probability": float(np.exp(log_probs_MW).sum(axis=-1).mean()),
        "bias": [float(bias) for bias in bias_W - bias_W.mean()],
    }


def shown(folder: Path) -> frozenset[str]:
    """Ids of the rows that a prompt shows with their labels; none where labels were not made by prompting."""
    file = folder / SHOTS
    return frozenset(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else frozenset()


def answers(logits_MW: Floats, candidates: int) -> tuple[Floats, Floats]:
    """Probabilities and normalised logits [N, C], of classes or of candidates by their log odds."""
    logits_NC = logits_MW if candidates == 1 else (logits_MW[:, 1] - logits_MW[:, 0]).reshape(-1, candidates)
    top_N1 = logits_NC.max(axis=-1, keepdims=True)
    total_N1 = np.log(np.exp(logits_NC - top_N1).sum(axis=-1, keepdims=True)) + top_N1
    return softmax(logits_NC), logits_NC - total_N1


def _check(prompt: Prompt, rows: RowTable) -> None:
    wanted = rows.n_classes if rows.candidates == 1 else 2
    if len(prompt.words) != wanted:
        what = f"{len(prompt.words)} words, {prompt.label}, and this task needs {wanted}"
        raise BadInput("prompt.words", what, "give one word a class; where candidates are scored, wrong and right")


def _shots(context: Context, drawn: RowTable, classes: int) -> list[Shot]:
    """The rows that are shown, with the truth or a supervisor's hard label; rows of weight 0 are nobody's example."""
    science = context.science
    seed, truth = science["drawn_from"]["seed"], np.array(drawn.labels)
    trusted = np.ones(len(drawn), dtype=bool)
    if science["shot_labels"] is not None:
        table = LabelTable.load(context.inputs[science["shot_labels"]["key"]]).join(drawn.ids, context.name)
        truth, trusted = table.probs_NC.argmax(axis=-1), table.weight_N > 0
    texts: dict[str, str] = {}
    labels: dict[str, int] = {}
    for place in np.flatnonzero(trusted):
        row_id, candidates = drawn.ids[place], drawn.texts[place]
        # of a row of candidates one is shown: right or wrong
        which = int(hash_unit("candidate", seed, row_id) * len(candidates))
        texts[row_id] = candidates[which]
        labels[row_id] = int(truth[place]) if len(candidates) == 1 else int(which == truth[place])
    return draw(texts, labels, classes, science["shots"], seed, context.name)


def _probing(context: Context, asker: Asker, drawn: RowTable | None) -> list[Question]:
    """The questions that calibration asks besides."""
    how = context.science["calibrate"]
    if how == "content_free":
        return [asker.ask(text) for text in asker.prompt.content_free]
    if how == "none" or drawn is None:
        return []
    seed, shown = context.science["drawn_from"]["seed"], {shot.id for shot in asker.shots}
    unshown = [i for i, row_id in enumerate(drawn.ids) if row_id not in shown]
    order = sorted(unshown, key=lambda i: hash_unit("prior", seed, drawn.ids[i]))[:PRIOR_ROWS]
    if not order:
        raise BadInput(context.name, "no row is left to calibrate on", "ask for fewer shots, or calibrate: none")
    return [asker.ask(text) for i in order for text in drawn.texts[i]]


def _bias(context: Context, log_probs_JW: Floats, drawn: RowTable | None) -> Floats:
    """What is added to every question's log-probabilities [W]."""
    how, words = context.science["calibrate"], log_probs_JW.shape[-1]
    if how == "content_free":
        return calibrate.content_free_bias(softmax(log_probs_JW))
    if how == "none" or drawn is None:
        return np.zeros(words)
    if drawn.candidates > 1:  # one of a row's candidates is right
        return calibrate.prior_bias(log_probs_JW, np.array([1 - 1 / drawn.candidates, 1 / drawn.candidates]))
    prior_W = np.full(words, 1 / words)
    if context.science["prior"] is not None:
        table = LabelTable.load(context.inputs[context.science["prior"]["key"]]).join(drawn.ids, context.name)
        prior_W = table.probs_NC.mean(axis=0)
    return calibrate.prior_bias(log_probs_JW, prior_W)


def _dataset(questions: list[Question], words: int) -> Dataset:
    count = len(questions)
    return Dataset(
        ids=tuple(str(i) for i in range(count)),
        tokens=[[question.tokens] for question in questions],
        target_NC=torch.zeros(count, words),
        truth_N=torch.zeros(count, dtype=torch.long),
        weight_N=torch.ones(count),
        truncated=0,
        dropped=0,
        unweighted=0,
    )
