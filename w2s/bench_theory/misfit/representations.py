"""The synthetic regression of Charikar et al. 2024: linear heads on representations by MLPs, task by task.

A finetuning task is a random linear head on h*. The weak head is fitted to the truth on the weak half; it labels the strong half; the
student's head is fitted to these labels. Gain and misfit are means over fresh inputs.
"""

# N inputs, I input coordinates, H width of a representation, T tasks

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from w2s.bench_theory.misfit.config import Regression, Setting
from w2s.bench_theory.misfit.outcomes import Outcome
from w2s.bench_theory.misfit.squared import distances
from w2s.metrics import Floats

CLIP = 1.0  # of the gradient's norm: without it two of six students, eight layers deep, were lost to a spike

Layers: TypeAlias = "list[Tensor]"
"""Weight matrices [in, out] of an MLP without biases, ReLU between them."""

Heard: TypeAlias = Callable[[int, int], None]


def outcomes(
    settings: Regression, setting: Setting, seed: int, heard: Heard = lambda done, total: None
) -> list[Outcome]:
    """The tasks of one setting. `heard` is called with steps done and steps in all."""
    generator = np.random.default_rng([seed, 12])
    truth = begin(settings, settings.truth_layers, settings.hidden, generator)
    given = settings.strong_layers if setting == "pretrained" else settings.truth_layers
    deep = begin(settings, given, settings.hidden, generator)
    shallow = begin(settings, settings.weak_layers, settings.weak_hidden, generator)
    if setting == "perturbed":
        strong = perturbed(truth, settings.strong_noise, generator)
        weak = perturbed(truth, settings.weak_noise, generator)
    else:
        learns = Pretraining(truth, settings, generator)
        legs = [shallow] if setting == "realizable" else [shallow, deep]
        steps = settings.pretrain_steps
        learnt = [
            learns.fit(start, partial(_heard_on, heard, leg * steps, len(legs) * steps))
            for leg, start in enumerate(legs)
        ]
        weak, strong = learnt[0], truth if setting == "realizable" else learnt[1]
    return [_task(truth, weak, strong, settings, generator) for _ in range(settings.tasks)]


def _heard_on(heard: Heard, before: int, total: int, step: int) -> None:
    heard(before + step, total)


def begin(settings: Regression, count: int, hidden: int, generator: np.random.Generator) -> Layers:
    """So many random layers, of He's variance."""
    widths = [settings.inputs, *[hidden] * (count - 1), settings.outputs]
    return [
        torch.from_numpy(generator.standard_normal((wide, next_wide)) * np.sqrt(2 / wide))
        for wide, next_wide in pairwise(widths)
    ]


def represent(layers: Sequence[Tensor], x_NI: Tensor) -> Tensor:
    """h(x) [N, H]."""
    h_NH = x_NI @ layers[0]
    for weights in layers[1:]:
        h_NH = h_NH.relu() @ weights
    return h_NH


def perturbed(layers: Layers, noise: float, generator: np.random.Generator) -> Layers:
    """The same with Gaussian noise in every weight, `noise` times as large as the layer's own standard deviation."""
    return [w + noise * w.std() * torch.from_numpy(generator.standard_normal(tuple(w.shape))) for w in layers]


class Pretraining:
    """Tasks that representations learn from: random linear heads on h*, each with inputs of its own."""

    def __init__(self, truth: Layers, settings: Regression, generator: np.random.Generator) -> None:
        self._settings = settings
        shape = (settings.pretrain_tasks, settings.n_pretrain, settings.inputs)
        self._x_TNI = torch.from_numpy(generator.standard_normal(shape)).float()
        heads_TH = torch.from_numpy(_head(settings, generator, settings.pretrain_tasks)).float()
        h_TNH = represent([w.float() for w in truth], self._x_TNI)
        self._y_TN = torch.einsum("tnh,th->tn", h_TNH, heads_TH)
        self._start_TH = torch.from_numpy(_head(settings, generator, settings.pretrain_tasks)).float()

    def fit(self, start: Layers, heard: Callable[[int], None]) -> Layers:
        """A representation, learned together with a linear head for each task."""
        layers = [w.float().requires_grad_() for w in start]
        heads_TH = self._start_TH.clone().requires_grad_()
        steps, lr = self._settings.pretrain_steps, self._settings.pretrain_lr
        optimizer = torch.optim.Adam([*layers, heads_TH], lr=lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        order = np.random.default_rng(0)
        for step in range(steps):
            heard(step)
            optimizer.zero_grad()
            drawn = torch.from_numpy(order.integers(0, self._settings.n_pretrain, self._settings.pretrain_batch))
            f_TB = torch.einsum("tbh,th->tb", represent(layers, self._x_TNI[:, drawn]), heads_TH)
            (f_TB - self._y_TN[:, drawn]).square().mean().backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*layers, heads_TH], CLIP)
            optimizer.step()
            schedule.step()
        return [w.detach().double() for w in layers]


def _head(settings: Regression, generator: np.random.Generator, count: int) -> Floats:
    """Random linear heads [T, H]."""
    return generator.standard_normal((count, settings.outputs)) / math.sqrt(settings.outputs)


def _task(truth: Layers, weak: Layers, strong: Layers, settings: Regression, generator: np.random.Generator) -> Outcome:
    head_H = _head(settings, generator, 1)[0]
    x_weak, x_strong, x_test = (
        torch.from_numpy(generator.standard_normal((count, settings.inputs)))
        for count in (settings.n, settings.n, settings.n_test)
    )
    weak_H = _fit(_h(weak, x_weak), _h(truth, x_weak) @ head_H)
    student_H = _fit(_h(strong, x_strong), _h(weak, x_strong) @ weak_H)
    return distances(_h(truth, x_test) @ head_H, _h(weak, x_test) @ weak_H, _h(strong, x_test) @ student_H)


def _h(layers: Layers, x_NI: Tensor) -> Floats:
    result: Floats = represent(layers, x_NI).numpy()
    return result


def _fit(h_NH: Floats, y_N: Floats) -> Floats:
    """Least squares; of several solutions the smallest."""
    result: Floats = np.asarray(np.linalg.lstsq(h_NH, y_N, rcond=None)[0], dtype=np.float64)
    return result
