"""The Knows stage: P(IK), how likely the strong model's own label of a row is right, from its hidden states of that row.

A row's point is the mean of its texts' vectors (one text, or candidates, whose order then says nothing). Taught on the weak half,
whose truth is known, less the rows that were shown to the model as examples; scaled on held-out rows.
"""

# R rows of the reference, N rows of the task, V held-out rows, D width

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cluster.errors import BadInput
from cluster.job import Context
from w2s.examples import hash_unit
from w2s.labels import Floats, LabelTable
from w2s.losses.xent import Config as Xent
from w2s.metrics import auroc, brier, ece
from w2s.work import features
from w2s.work.choose_l2 import GRID
from w2s.work.fit_heads import Plan, fit_points
from w2s.work.heads import Lesson
from w2s.work.prompted import shown
from w2s.work.table import Whole, read_all

FOLDS = 5
STEPS = 200
PULL = 1e-6  # on Platt's slope: classes that a threshold separates would send it to infinity
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


def run(context: Context) -> dict[str, Any]:
    """Write `labels.parquet`: [P(not), P(IK)] of every row of the task."""
    science, name = context.science, context.name
    whole = read_all(context.inputs[science["reference"]["rows"]["key"]])
    folder = context.inputs[science["selves"]["key"]]
    hidden, reference = shown(folder), set(whole.places(science["reference"], name))
    order = sorted(range(len(whole.rows)), key=lambda place: whole.rows.ids[place])
    at = {place: i for i, place in enumerate(order)}  # by id: whatever order a table has, sums over rows are the same
    known = [place for place in order if place in reference and whole.rows.ids[place] not in hidden]
    right_R = _right(LabelTable.load(folder), whole, known, name)
    read = features.read(context.inputs[science["features"]["key"]], [str(science["layer"])])
    point_ND = read.vectors_NKD[order].double().mean(dim=1)
    known_at = [at[place] for place in known]
    fitted = fit(point_ND[known_at], right_R, folds([whole.groups[i] for i in known]), science["l2"], name)
    score_N = fitted.scores(point_ND)
    score_N[known_at] = fitted.score_R
    told: dict[str, Any] = {
        "n": len(known),
        "shown": len(hidden),
        "right": float(right_R.mean()),
        "l2": fitted.l2,
        "auroc_weak_half": _auroc(fitted.score_R, right_R),
    }
    if science["val"] is not None:
        held = sorted(whole.places(science["val"], name), key=lambda place: at[place])
        right_V = _right(LabelTable.load(context.inputs[science["val_selves"]["key"]]), whole, held, name)
        score_V = score_N[[at[place] for place in held]]
        slope, shift = platt(score_V, right_V)
        told |= {
            "slope": slope,
            "shift": shift,
            **judged(score_V, right_V, folds([whole.groups[place] for place in held])),
        }
        score_N = slope * score_N + shift
    LabelTable.of_probs([whole.rows.ids[place] for place in order], _both(score_N)).save(context.out)
    return told


@dataclass(frozen=True)
class Classifier:
    """A logistic classifier: log odds = vectors @ weight_D + bias. `score_R`: log odds of its own rows, out of fold."""

    weight_D: Tensor
    bias: float
    l2: float
    score_R: Floats

    def scores(self, point_ND: Tensor) -> Floats:
        """Log odds [N]."""
        found: Floats = (point_ND @ self.weight_D + self.bias).numpy()
        return found


def fit(point_RD: Tensor, right_R: Flags, folds_R: Ints, l2: float | None, where: str) -> Classifier:
    """Fit on standardised rows, `l2` times the squared weights; None: the value of GRID that explains left-out folds best.

    Raises BadInput where all rows are of one fold. Where all n labels are right, or all are wrong, the odds are
    n + 1 to 1 for every row that its label is so too.
    """
    present = sorted(set(folds_R.tolist()))
    if len(present) < 2:
        raise BadInput(where, f"{len(right_R)} rows leave nothing to learn from", "take more rows (task.n_train)")
    if right_R.all() or not right_R.any():
        odds = math.log(len(right_R) + 1) * (1 if right_R.all() else -1)
        return Classifier(torch.zeros(point_RD.shape[1]).double(), odds, 0.0, np.full(len(right_R), odds))
    target_R2 = torch.from_numpy(np.eye(2)[right_R.astype(np.int64)])
    tried = GRID if l2 is None else (l2,)
    lessons = [Lesson(target_R2, _without(folds_R, fold), Xent(), value) for value in tried for fold in present]
    heads, points_MP = fit_points(point_RD[:, None, :], lessons, [None] * len(lessons), _plan())
    logits_GFR2 = heads.logits(points_MP).view(len(tried), len(present), len(right_R), 2)
    at_R = torch.from_numpy(np.searchsorted(present, folds_R))
    logits_GR2 = logits_GFR2[:, at_R, torch.arange(len(right_R))]  # each row by the fit that has not seen its fold
    cost_G = -(target_R2 * logits_GR2.log_softmax(dim=-1)).sum(dim=(1, 2))
    best = int(cost_G.argmin())
    whole = Lesson(target_R2, _without(folds_R, None), Xent(), tried[best])
    heads, points_MP = fit_points(point_RD[:, None, :], [whole], [None], _plan())
    weight_MOD, bias_MO = heads.plain(points_MP)
    score_R: Floats = (logits_GR2[best, :, 1] - logits_GR2[best, :, 0]).numpy()
    return Classifier(weight_MOD[0, 1] - weight_MOD[0, 0], float(bias_MO[0, 1] - bias_MO[0, 0]), tried[best], score_R)


def platt(score_V: Floats, right_V: Flags) -> tuple[float, float]:
    """Slope and shift of log odds that fit these rows (Platt 1999), their targets drawn in as he does: (n+ + 1)/(n+ + 2), 1/(n- + 2).

    A slope below zero would turn the classifier round: it is 0 then, and every row has the same odds.
    """
    count = int(right_V.sum())
    target_V = np.where(right_V, (count + 1) / (count + 2), 1 / (len(right_V) - count + 2))
    target_V2 = torch.from_numpy(np.stack([1 - target_V, target_V], axis=1))
    point_V1 = torch.from_numpy(score_V)[:, None, None]
    lesson = Lesson(target_V2, torch.ones(len(score_V), dtype=torch.float64), Xent(), PULL)
    heads, points_MP = fit_points(point_V1, [lesson], [None], _plan())
    weight_MOD, bias_MO = heads.plain(points_MP)
    slope = float(weight_MOD[0, 1, 0] - weight_MOD[0, 0, 0])
    if slope > 0:
        return slope, float(bias_MO[0, 1] - bias_MO[0, 0])
    share = float(target_V.mean())
    return 0.0, math.log(share / (1 - share))


def judged(score_V: Floats, right_V: Flags, folds_V: Ints) -> dict[str, float | int | None]:
    """How good P(IK) is on held-out rows, each scaled by what the other folds say: Platt's own rows would flatter.

    auroc is of the scores themselves, which no held-out row has taught; brier is summed over both classes (0 to 2); ece has 15
    bins. None where the rows are of one fold.
    """
    found: dict[str, float | int | None] = {
        "val_n": len(right_V), "val_right": float(right_V.mean()), "auroc": _auroc(score_V, right_V), "brier": None, "ece": None
    }  # fmt: skip
    present = set(folds_V.tolist())
    if len(present) < 2:
        return found
    scaled_V = np.empty(len(score_V))
    for fold in present:
        own_V = folds_V == fold
        slope, shift = platt(score_V[~own_V], right_V[~own_V])
        scaled_V[own_V] = slope * score_V[own_V] + shift
    truth_V = right_V.astype(np.int64)
    return {**found, "brier": brier(_both(scaled_V), truth_V), "ece": ece(_both(scaled_V), truth_V)}


def folds(groups: Sequence[str]) -> Ints:
    """The fold of each row, by hash of its group."""
    return np.array([int(hash_unit("fold", group) * FOLDS) for group in groups], dtype=np.int64)


def _right(labels: LabelTable, whole: Whole, places: Sequence[int], where: str) -> Flags:
    """Which of these rows the labels have right."""
    probs_RC = labels.join([whole.rows.ids[place] for place in places], where).probs_NC
    found: Flags = probs_RC.argmax(axis=1) == np.array([whole.rows.labels[place] for place in places])
    return found


def _without(folds_R: Ints, fold: int | None) -> Tensor:
    return torch.from_numpy((folds_R != fold if fold is not None else np.ones(len(folds_R))).astype(np.float64))


def _plan() -> Plan:
    return Plan("lbfgs", STEPS, 1.0, None, False, True)


def _auroc(score_V: Floats, right_V: Flags) -> float | None:
    return auroc(_both(score_V), right_V.astype(np.int64))


def _both(score_N: Floats) -> Floats:
    """[P(not), P(IK)] of log odds."""
    known_N = 1 / (1 + np.exp(-np.clip(score_N, -500, 500)))
    found: Floats = np.stack([1 - known_N, known_N], axis=1)
    return found
