"""The Relabel stage: each row's label as similar rows would have it, similar in a frozen model's hidden states.

A row has no say in its own new label: it is not among its own neighbours, and a probe that judges it has not seen it, nor
its group. Rows outside the reference (held out, test) are judged by all of the reference.
"""

# N rows asked about, M rows of the reference, U rows of both, K texts a row, D width, C classes, F fits

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cluster.errors import BadInput
from cluster.job import Context
from w2s.examples import hash_unit
from w2s.labels import Floats, LabelTable, softmax
from w2s.losses.xent import Config as Xent
from w2s.metrics import accuracy
from w2s.work import features
from w2s.work.fit_heads import Plan, fit_points
from w2s.work.heads import Lesson
from w2s.work.neighbours import NOBODY, mean_label, nearest, points
from w2s.work.table import Whole, read_all

FOLDS = 5
STEPS = 300


def run(context: Context) -> dict[str, Any]:
    """Write `labels.parquet` for the rows that were asked about."""
    science, name = context.science, context.name
    whole = read_all(context.inputs[science["rows"]["rows"]["key"]])
    wanted, known = whole.places(science["rows"], name), whole.places(science["reference"], name)
    given = LabelTable.load(context.inputs[science["labels"]["key"]]).join([whole.rows.ids[i] for i in known], name)
    counted = np.flatnonzero(given.weight_N > 0)
    known, probs_MC, weight_M = [known[i] for i in counted], given.probs_NC[counted], given.weight_N[counted]
    vectors_NKD = features.read(context.inputs[science["features"]["key"]], [str(science["layer"])]).vectors_NKD
    told: dict[str, Any] = {}
    if science["how"] == "knn":
        place = {row: i for i, row in enumerate(known)}
        self_N = np.array([place.get(row, NOBODY) for row in wanted], dtype=np.int64)
        all_ND = points(vectors_NKD.numpy(), name)
        neighbours_Nk = nearest(all_ND[wanted], all_ND[known], self_N, science["neighbours"], name)
        probs_NC = mean_label(neighbours_Nk, probs_MC, weight_M)
        told["neighbours"] = neighbours_Nk.shape[1]
    else:
        probs_NC = by_logistic(vectors_NKD, whole.groups, wanted, known, probs_MC, weight_M, science["l2"], name)
    LabelTable.of_probs([whole.rows.ids[i] for i in wanted], probs_NC).save(context.out)
    return {"n": len(wanted), "reference": len(known), **told, **_changed(whole, wanted, known, probs_NC, probs_MC)}


def by_logistic(
    vectors_NKD: Tensor,
    groups: Sequence[str],
    wanted: Sequence[int],
    known: Sequence[int],
    probs_MC: Floats,
    weight_M: Floats,
    l2: float,
    where: str,
) -> Floats:
    """Class probabilities [N, C] of the rows at `wanted`, by linear probes that learned the labels of those at `known`.

    Groups fall into folds by hash; a known row is judged by the probe that all other folds taught. Raises BadInput where
    all known rows share a fold.
    """
    used = sorted({*wanted, *known})
    at = {row: i for i, row in enumerate(used)}
    known_at, wanted_at = [at[row] for row in known], [at[row] for row in wanted]
    fold_U = np.full(len(used), NOBODY)  # judged by a probe that has seen all known rows
    fold_U[known_at] = [int(hash_unit("fold", groups[row]) * FOLDS) for row in known]
    target_UC = torch.zeros(len(used), probs_MC.shape[1], dtype=torch.float64)
    target_UC[known_at] = torch.from_numpy(probs_MC)
    weight_U = torch.zeros(len(used), dtype=torch.float64)
    weight_U[known_at] = torch.from_numpy(weight_M)
    fits = sorted(set(fold_U[wanted_at].tolist()))
    lessons = [Lesson(target_UC, weight_U * torch.from_numpy(fold_U != fold), Xent(), l2) for fold in fits]
    if any(not lesson.weight_N.any() for lesson in lessons):
        raise BadInput(where, f"{len(known)} rows leave nothing to learn from", "take more rows (task.n_train)")
    how = Plan("lbfgs", STEPS, 1.0, None, False, True)
    heads, points_FP = fit_points(vectors_NKD[used], lessons, [None] * len(lessons), how)
    logits_FUC = heads.logits(points_FP).numpy()
    by_fit = {fold: i for i, fold in enumerate(fits)}
    return softmax(logits_FUC[[by_fit[fold] for fold in fold_U[wanted_at].tolist()], wanted_at])


def _changed(
    whole: Whole, wanted: Sequence[int], known: Sequence[int], probs_NC: Floats, probs_MC: Floats
) -> dict[str, float]:
    """For the eye, nothing is chosen by it: how right the new labels are, and what share of the known ones changed sides."""
    old = dict(zip(known, probs_MC.argmax(axis=1), strict=True))
    new = dict(zip(wanted, probs_NC.argmax(axis=1), strict=True))
    both = [row for row in wanted if row in old]
    found = {"accuracy": accuracy(probs_NC, np.array([whole.rows.labels[i] for i in wanted], dtype=np.int64))}
    return found | ({"changed": float(np.mean([old[row] != new[row] for row in both]))} if both else {})
