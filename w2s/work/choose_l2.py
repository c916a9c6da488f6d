"""How strongly a head is pulled towards zero, chosen on the labels it learns from: no truth that it would not have is asked."""

# N rows, G values tried, F folds

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from w2s.losses.xent import Config as Xent
from w2s.work.fit_heads import Plan, fit_points
from w2s.work.heads import Lesson

GRID = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
FOLDS = 3
AT_ONCE = 12  # lessons: each is 21 fits
STEPS = 100


def choose_l2(vectors_NKD: Tensor, lessons: Sequence[Lesson], fold_N: Tensor, *, standardise: bool) -> list[float]:
    """For each lesson the value of GRID whose plain cross-entropy fits explain left-out folds of its own labels best.

    `fold_N` is 0 .. FOLDS - 1. Whatever the lesson's loss, cross-entropy judges: it alone compares across losses.
    """
    found: list[float] = []
    for start in range(0, len(lessons), AT_ONCE):
        found += _choose(vectors_NKD, lessons[start : start + AT_ONCE], fold_N, standardise)
    return found


def _choose(vectors_NKD: Tensor, lessons: Sequence[Lesson], fold_N: Tensor, standardise: bool) -> list[float]:
    lessons = [replace(lesson, target_NC=_plain(lesson.target_NC)) for lesson in lessons]
    trials = [
        Lesson(lesson.target_NC, lesson.weight_N * (fold_N != fold), Xent(), l2)
        for lesson in lessons
        for l2 in GRID
        for fold in range(FOLDS)
    ]
    how = Plan("lbfgs", STEPS, 1.0, None, False, standardise)
    heads, points_MP = fit_points(vectors_NKD, trials, [None] * len(trials), how)
    costs = [
        _cost(logits_NC, lesson.target_NC, lesson.weight_N * (fold_N == fold))
        for logits_NC, (lesson, fold) in zip(
            heads.logits(points_MP),
            [(lesson, fold) for lesson in lessons for _ in GRID for fold in range(FOLDS)],
            strict=True,
        )
    ]
    cost_LG = torch.tensor(costs, dtype=torch.float64).view(len(lessons), len(GRID), FOLDS).sum(dim=-1)
    return [GRID[i] for i in cost_LG.argmin(dim=-1).tolist()]


def _plain(target_NC: Tensor) -> Tensor:
    """What a crowd says [N, M, C] as its mean [N, C]."""
    return target_NC if target_NC.dim() == 2 else target_NC.mean(dim=1)


def _cost(logits_NC: Tensor, target_NC: Tensor, weight_N: Tensor) -> float:
    rows_N = -(target_NC * logits_NC.log_softmax(dim=-1)).sum(dim=-1)
    return float((rows_N * weight_N).sum())
