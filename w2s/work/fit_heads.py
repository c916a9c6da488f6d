"""How heads are trained on vectors: L-BFGS for losses that stay as they are, full-batch Adam for those that change."""

# N rows, C classes, M heads, P numbers of a head's point

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from w2s.learner import Probe
from w2s.loss import LossConfig
from w2s.registry import module
from w2s.work.heads import Heads, Lesson
from w2s.work.lbfgs import minimise
from w2s.work.marks import marks

POINTS = 20  # of a curve, where the learner does not say how often to look
HEAD_STD = 0.02  # of a head that does not start from zero
BETAS, EPS = (0.9, 0.999), 1e-8  # of Adam


@dataclass(frozen=True)
class Exam:
    """Held-out rows a head is looked at with: which (0 or 1 a row [N]), labels of the lesson's origin [N, C], truth [N]."""

    rows_N: Tensor
    target_NC: Tensor
    truth_N: Tensor


@dataclass
class Trained:
    """One head: weight [O, D], bias [O], and how it came about. `curve` is as of a finetuned model."""

    weight_OD: Tensor
    bias_O: Tensor
    loss: float
    steps: int
    selected_step: int
    gradient: float
    curve: list[dict[str, Any]] = field(default_factory=list)
    course: list[dict[str, Any]] = field(default_factory=list)  # what its loss learned of its own, by step


@dataclass(frozen=True)
class Plan:
    """What heads must share to be trained together."""

    optimizer: Literal["lbfgs", "adam"]
    steps: int
    lr: float
    look_every: int | None  # steps between looks at the held-out rows; None for the end alone
    select: bool  # keep the best by those looks
    standardise: bool


def plan(probe: Probe, loss: LossConfig, evaluate: str | int, select: str) -> Plan:
    """How a learner's head is trained. `auto` is L-BFGS where the loss is one fixed smooth function and nothing is selected."""
    fixed = bool(getattr(module("losses", loss.kind), "FIXED", False))
    optimizer = ("lbfgs" if fixed and select == "last" else "adam") if probe.optimizer == "auto" else probe.optimizer
    every = None if evaluate == "never" else max(1, probe.steps // POINTS) if evaluate == "epoch" else int(evaluate)
    every = every if optimizer == "adam" else None
    return Plan(optimizer, probe.steps, probe.lr, every, select != "last", probe.standardise)


def fit(
    vectors_NKD: Tensor,
    lessons: Sequence[Lesson],
    exams: Sequence[Exam | None],
    seeds: Sequence[int | None],
    how: Plan,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trained]:
    """Train one head a lesson. `seeds`: of a head that starts from chance, None for one that starts from zero.

    `told` hears of steps done and to be done; what it raises ends the work.
    """
    if how.optimizer == "lbfgs":
        return _by_lbfgs(vectors_NKD, lessons, exams, seeds, how, told)
    heads = Heads(vectors_NKD, lessons, standardise=how.standardise)
    return _by_adam(heads, torch.stack([_start(heads, seed) for seed in seeds]), exams, how, told)


def _start(heads: Heads, seed: int | None) -> Tensor:
    point_P = torch.zeros(heads.size, dtype=torch.float64)
    if seed is not None:
        point_P[: -heads.outputs].normal_(0.0, HEAD_STD, generator=torch.Generator().manual_seed(seed))
    return point_P


def fit_points(
    vectors_NKD: Tensor, lessons: Sequence[Lesson], seeds: Sequence[int | None], how: Plan
) -> tuple[Heads, Tensor]:
    """The heads and their points [M, P], by L-BFGS, for those who want no more of them than logits."""
    heads = Heads(vectors_NKD, lessons, standardise=how.standardise)
    start_MP = torch.stack([_start(heads, seed) for seed in seeds])
    found = minimise(lambda which, points: heads.objective(which, points, 0.0), start_MP, how.steps)
    return heads, found.points_MP


def _by_lbfgs(
    vectors_NKD: Tensor,
    lessons: Sequence[Lesson],
    exams: Sequence[Exam | None],
    seeds: Sequence[int | None],
    how: Plan,
    told: Callable[[int, int], None],
) -> list[Trained]:
    heads = Heads(vectors_NKD, lessons, standardise=how.standardise)
    start_MP = torch.stack([_start(heads, seed) for seed in seeds])
    calls = 0

    def evaluate(which: Tensor, points_AP: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        told(min(calls, how.steps), how.steps)
        return heads.objective(which, points_AP, 0.0)

    found = minimise(evaluate, start_MP, how.steps)
    weight_MOD, bias_MO = heads.plain(found.points_MP)
    looks = _look(heads, found.points_MP, exams)
    return [
        Trained(
            weight_MOD[i], bias_MO[i], float(found.values_M[i]), int(found.steps_M[i]), int(found.steps_M[i]),
            float(found.gradient_M[i]), [{"step": int(found.steps_M[i]), **look}] if (look := looks[i]) else [],
        )
        for i in range(len(start_MP))
    ]  # fmt: skip


def _by_adam(
    heads: Heads, start_MP: Tensor, exams: Sequence[Exam | None], how: Plan, told: Callable[[int, int], None]
) -> list[Trained]:
    points_MP, best_MP = start_MP.clone(), start_MP.clone()
    first_MP, second_MP = torch.zeros_like(points_MP), torch.zeros_like(points_MP)
    count, everyone = len(points_MP), torch.arange(len(points_MP))
    curves: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    courses: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    best: list[tuple[float, int]] = [(-1.0, 0)] * count
    values_M, gradient_MP = points_MP.new_zeros(count), points_MP
    _follow(heads, courses, 0)
    for step in range(1, how.steps + 1):
        values_M, gradient_MP = heads.objective(everyone, points_MP, (step - 1) / how.steps)
        first_MP = BETAS[0] * first_MP + (1 - BETAS[0]) * gradient_MP
        second_MP = BETAS[1] * second_MP + (1 - BETAS[1]) * gradient_MP**2
        ahead_MP = first_MP / (1 - BETAS[0] ** step) / ((second_MP / (1 - BETAS[1] ** step)).sqrt() + EPS)
        points_MP = points_MP - how.lr * ahead_MP
        told(step, how.steps)
        heads.advance((step - 1) / how.steps)
        if step == how.steps or step % max(1, how.steps // POINTS) == 0:
            _follow(heads, courses, step)
        if step == how.steps or (how.look_every and step % how.look_every == 0):
            for i, look in enumerate(_look(heads, points_MP, exams)):
                if look:
                    curves[i].append({"step": step, **look})
                    if look["agreement"] > best[i][0]:
                        best[i], best_MP[i] = (look["agreement"], step), points_MP[i]
    chosen_MP = points_MP
    if how.select:
        seen_M = torch.tensor([step > 0 for _, step in best])
        chosen_MP = torch.where(seen_M[:, None], best_MP, points_MP)
    weight_MOD, bias_MO = heads.plain(chosen_MP)
    return [
        Trained(
            weight_MOD[i], bias_MO[i], float(values_M[i]), how.steps, (best[i][1] or how.steps) if how.select else how.steps,
            float(gradient_MP[i].abs().max()), curves[i], courses[i],
        )
        for i in range(count)
    ]  # fmt: skip


def _follow(heads: Heads, courses: list[list[dict[str, Any]]], step: int) -> None:
    """A point of what each loss has learned of its own."""
    for course, learned in zip(courses, heads.learned, strict=True):
        if learned:
            course.append({"step": step, **{name: value.flatten().tolist() for name, value in learned.items()}})


def _look(heads: Heads, points_MP: Tensor, exams: Sequence[Exam | None]) -> list[dict[str, float]]:
    """Each head held against its held-out rows; {} where it has none."""
    if all(exam is None for exam in exams):
        return [{} for _ in exams]
    return [
        {} if exam is None else _marks(logits_NC, exam)
        for logits_NC, exam in zip(heads.logits(points_MP), exams, strict=True)
    ]


def _marks(logits_NC: Tensor, exam: Exam) -> dict[str, float]:
    asked_N = exam.rows_N > 0
    return marks(logits_NC[asked_N], exam.target_NC[asked_N], exam.truth_N[asked_N])
