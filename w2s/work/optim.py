"""Optimizers and the learning rate over a run, as plain functions of a learner's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from w2s.learner import Optim, Schedule


def rate_factor(schedule: Schedule, step: int, total: int) -> float:
    """The factor on the learning rate at `step` (0 .. total-1): linear warm-up from above 0, then the chosen decay to 0."""
    warm = round(schedule.warmup * total)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    if schedule.kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if schedule.kind == "linear" else 1.0


def build(optim: Optim, named: Sequence[tuple[str, nn.Parameter, bool]]) -> torch.optim.Optimizer:
    """The optimizer over (name, parameter, is_head). Biases and norms are not decayed. Each group keeps its `base_lr`."""
    groups = []
    for is_head in (False, True):
        for decayed in (True, False):
            chosen = [p for _, p, head in named if head == is_head and (len(shape(p)) > 1) == decayed]
            if chosen:
                lr = optim.head_lr if is_head and optim.head_lr is not None else optim.lr
                decay = optim.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": lr, "base_lr": lr, "weight_decay": decay})
    if optim.kind == "adafactor":
        return torch.optim.Adafactor(groups, lr=optim.lr)
    family = torch.optim.AdamW if optim.kind == "adamw" else torch.optim.Adam
    # fused: one pass over memory a step instead of several; several times faster on a CPU, exact either way
    return family(groups, lr=optim.lr, betas=optim.betas, eps=optim.eps, fused=True)


def shape(parameter: nn.Parameter) -> tuple[int, ...]:
    """A parameter's shape as a whole; one that ZeRO-3 has cut up keeps an empty stand-in in its place."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))
