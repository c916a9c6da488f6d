"""The Probe stage: linear heads on a frozen model's hidden states. Any number of them in one go, each as if alone.

run(context), run_pack(contexts)               train: head.safetensors, curve.json
predict(context), predict_pack(contexts)       a trained head's class probabilities on some rows
"""

# N rows of the training split, K texts a row, D width, C classes, O outputs

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cluster.errors import Interrupted, StageFailed
from cluster.job import Context
from w2s import loss as losses
from w2s.examples import hash_unit
from w2s.labels import LabelTable, softmax
from w2s.learner import Learner
from w2s.probe import Subspace
from w2s.registry import module
from w2s.work import features
from w2s.work.choose_l2 import FOLDS, choose_l2
from w2s.work.fit_heads import Exam, Plan, Trained, fit, plan
from w2s.work.heads import Lesson
from w2s.work.table import Whole, read_all

HEAD = "head.safetensors"


def run(context: Context) -> dict[str, Any]:
    """Train one head; write `head.safetensors` (weight [O, D], bias [O]) and `curve.json`. Returns final metrics."""
    return run_pack([context])[0]


def run_pack(contexts: Sequence[Context]) -> list[dict[str, Any]]:
    """Train heads that read the same vectors, those that can be trained together at once. Metrics in the given order."""
    whole = read_all(contexts[0].inputs[contexts[0].science["rows"]["rows"]["key"]])
    taught = [_Taught(context, whole) for context in contexts]
    together: dict[_Alike, list[_Taught]] = {}
    for one in taught:
        alike = _Alike(one.how, one.layers, one.subspace, tuple(one.lesson.target_NC.shape[1:]))
        together.setdefault(alike, []).append(one)
    metrics: dict[str, dict[str, Any]] = {}
    for alike, some in together.items():
        metrics |= _train(some, alike, whole)
    return [metrics[context.key] for context in contexts]


@dataclass(frozen=True)
class _Alike:
    """What heads share that are trained together."""

    how: Plan
    layers: tuple[str, ...]
    subspace: Subspace | None
    target: tuple[int, ...]


class _Taught:
    """One head's inputs, as tensors over the training split."""

    def __init__(self, context: Context, whole: Whole) -> None:
        science = context.science
        self.context, self.learner = context, Learner.model_validate(science["learner"])
        assert self.learner.probe is not None
        self.layers = tuple(str(layer) for layer in self.learner.probe.read)
        self.subspace = self.learner.probe.subspace
        loss = module("losses", science["loss"]["kind"]).Config.model_validate(science["loss"])
        self.how = plan(self.learner.probe, loss, self.learner.evaluate, self.learner.select)
        self.seed = int(science["seed"]) if self.learner.head == "normal" else None
        places = whole.places(science["rows"], context.name)
        self.rows = len(places)
        target_NC, weight_N = self._labels(whole, places, science["labels"], crowd=losses.hears_a_crowd(loss))
        l2 = self.learner.probe.l2
        self.chooses = l2 == "auto"
        self.lesson = Lesson(target_NC, weight_N, loss, 0.0 if l2 == "auto" else l2)
        self.exam: Exam | None = None
        if science["val"] is not None:
            held = whole.places(science["val"], context.name)
            val_NC, val_N = self._labels(whole, held, science["val_labels"])
            truth_N = torch.tensor(whole.rows.labels)[_train_rows(whole)]
            self.exam = Exam((val_N > 0).double(), val_NC, truth_N)

    def _labels(
        self, whole: Whole, places: list[int], labels: Mapping[str, str] | None, *, crowd: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Targets [N, C] (of a crowd [N, M, C]) and weights [N] over the training split; 0 where a row is not the part's."""
        classes, context = whole.rows.n_classes, self.context
        target_NC = torch.zeros(len(whole.rows), classes, dtype=torch.float64)
        weight_N = torch.zeros(len(whole.rows), dtype=torch.float64)
        if labels is None:
            target_NC[places] = torch.eye(classes, dtype=torch.float64)[[whole.rows.labels[i] for i in places]]
            weight_N[places] = 1.0
        else:
            ids = [whole.rows.ids[i] for i in places]
            table = LabelTable.load(context.inputs[labels["key"]]).join(ids, context.name)
            told = torch.from_numpy(table.everyone_NMC() if crowd else table.probs_NC)
            target_NC = target_NC.new_zeros(len(whole.rows), *told.shape[1:])
            target_NC[places] = told
            weight_N[places] = torch.from_numpy(table.weight_N)
        train = _train_rows(whole)
        return target_NC[train], weight_N[train]


def _train_rows(whole: Whole) -> list[int]:
    return [i for i, split in enumerate(whole.splits) if split == "train"]


def _train(some: list[_Taught], alike: _Alike, whole: Whole) -> dict[str, dict[str, Any]]:
    first, how = some[0].context, alike.how
    found = features.read(first.inputs[first.science["features"]["key"]], alike.layers)
    vectors_NKD = _columns(found.vectors_NKD[_train_rows(whole)], alike.subspace)
    contexts = [one.context for one in some]

    def told(done: int, total: int) -> None:
        for context in contexts:
            context.watch.progress(done, total)
        if any(context.stop() for context in contexts) and done < total:
            raise Interrupted(first.name, f"stopped after {done} of {total} steps", "the same command starts it again")

    started = time.monotonic()
    lessons = _pulled(some, vectors_NKD, how, whole)
    heads = fit(vectors_NKD, lessons, [one.exam for one in some], [one.seed for one in some], how, told)
    seconds = time.monotonic() - started
    heads = [_widened(head, alike.subspace, found.width) for head in heads]
    return {
        one.context.key: _save(one, head, lesson.l2, seconds, len(some))
        for one, lesson, head in zip(some, lessons, heads, strict=True)
    }


def _columns(vectors_NKD: Tensor, subspace: Subspace | None) -> Tensor:
    """The features that a head reads: all, or its own share."""
    return vectors_NKD if subspace is None else vectors_NKD[..., subspace.columns(vectors_NKD.shape[-1])]


def _widened(head: Trained, subspace: Subspace | None, width: int) -> Trained:
    """A head of all features, with nothing for those it does not read."""
    if subspace is None:
        return head
    weight_OD = head.weight_OD.new_zeros(len(head.weight_OD), width)
    weight_OD[:, subspace.columns(width)] = head.weight_OD
    return replace(head, weight_OD=weight_OD)


def _pulled(some: Sequence[_Taught], vectors_NKD: Tensor, how: Plan, whole: Whole) -> list[Lesson]:
    """The lessons, each with its own l2: chosen where the learner leaves it open. No group straddles two folds."""
    choosing = [one.lesson for one in some if one.chooses]
    if not choosing:
        return [one.lesson for one in some]
    folds = [int(hash_unit("fold", whole.groups[i]) * FOLDS) for i in _train_rows(whole)]
    chosen = iter(choose_l2(vectors_NKD, choosing, torch.tensor(folds), standardise=how.standardise))
    return [replace(one.lesson, l2=next(chosen)) if one.chooses else one.lesson for one in some]


def _save(one: _Taught, head: Trained, l2: float, seconds: float, together: int) -> dict[str, Any]:
    context = one.context
    if not torch.isfinite(head.weight_OD).all():
        raise StageFailed(
            context.name, f"its weights are no numbers (loss {head.loss})", "lower probe.lr, or raise probe.l2"
        )
    save_file({"weight": head.weight_OD.contiguous(), "bias": head.bias_O.contiguous()}, context.out / HEAD)
    (context.out / "curve.json").write_text(json.dumps(head.curve, indent=1))
    if head.course:
        (context.out / "course.json").write_text(json.dumps(head.course, indent=1))
    learned = {f"last_{name}": value for name, value in (head.course or [{}])[-1].items() if name != "step"}
    point = next((p for p in head.curve if p["step"] == head.selected_step), {})
    return {
        "rows": one.rows, "kept": int((one.lesson.weight_N > 0).sum()), "steps": head.steps, "loss": head.loss,
        "selected_step": head.selected_step, "select": one.learner.select, "optimizer": one.how.optimizer,
        "l2": l2, "gradient": head.gradient, "together": together, "fit_seconds": seconds,
        **{f"val_{name}": value for name, value in point.items() if name != "step"}, **learned,
    }  # fmt: skip


def predict(context: Context) -> dict[str, Any]:
    """Write `labels.parquet`: a trained head's class probabilities on the part's rows."""
    return predict_pack([context])[0]


def predict_pack(contexts: Sequence[Context]) -> list[dict[str, Any]]:
    """The same for several heads on one model's vectors, which are read once."""
    first = contexts[0]
    whole = read_all(first.inputs[first.science["rows"]["rows"]["key"]])
    vectors: dict[tuple[str, ...], Tensor] = {}
    metrics = []
    for context in contexts:
        layers = tuple(context.machines["layers"])
        if layers not in vectors:
            folder = context.inputs[context.machines["features"]]
            vectors[layers] = features.read(folder, layers).vectors_NKD.double()
        metrics.append(_predict(context, whole, vectors[layers]))
    return metrics


def _predict(context: Context, whole: Whole, vectors_NKD: Tensor) -> dict[str, Any]:
    places = whole.places(context.science["rows"], context.name)
    head = load_file(context.inputs[context.science["model"]["key"]] / HEAD)
    scores_NKO = vectors_NKD[places] @ head["weight"].T + head["bias"]
    logits_NC: np.ndarray[Any, Any] = scores_NKO.squeeze(1 if scores_NKO.shape[1] == 1 else 2).numpy()
    probs_NC = softmax(logits_NC)
    LabelTable(tuple(whole.rows.ids[i] for i in places), probs_NC, logits_NC).save(context.out)
    return {"n": len(places), "mean_confidence": float(probs_NC.max(axis=-1).mean())}
