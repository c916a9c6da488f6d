"""Batches to score, and the plain numpy formulas that losses are checked against."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2s.loss import LossConfig, Statistics, compute, label_statistics, statistics

Array = NDArray[np.float64]


def rows(seed: int, n: int = 16, classes: int = 2, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Random logits (no ties) and soft labels [n, classes], in float64."""
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(size=(n, classes)) * scale)
    return logits, torch.tensor(rng.dirichlet(np.ones(classes), size=n))


def uneven_rows(seed: int, n: int = 32) -> tuple[Tensor, Tensor]:
    """As `rows`, of two classes whose shares in the labels differ from seed to seed."""
    rng = np.random.default_rng(seed)
    w = rng.beta(*rng.uniform(0.3, 3, size=2), size=n)
    return torch.tensor(rng.normal(size=(n, 2)) * 2), torch.tensor(np.stack([1 - w, w], axis=1))


def known(config: LossConfig, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Statistics:
    """All that a loss may know, were these rows the global batch and the training data."""
    weight = torch.ones(len(logits), dtype=torch.float64) if weight is None else weight
    return label_statistics(config, target) | statistics(config, logits, target, weight)


def score(config: LossConfig, logits: Tensor, target: Tensor, progress: float = 0.9) -> Tensor:
    """Per-row losses of rows that are the whole batch and all the data."""
    return compute(config, logits, target, progress, known(config, logits, target))


def gradient(config: LossConfig, logits: Tensor, target: Tensor, progress: float = 0.9) -> Tensor:
    """Of the sum of the per-row losses, in the logits."""
    leaf = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(score(config, leaf, target, progress).sum(), leaf)
    return found


def agrees_with_finite_differences(config: LossConfig, logits: Tensor, target: Tensor, progress: float = 0.9) -> bool:
    found = known(config, logits, target)
    leaf = logits.clone().requires_grad_()
    return torch.autograd.gradcheck(lambda z: compute(config, z, target, progress, found), leaf)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def cross_entropy(target: Array, z: Array) -> Array:
    return -(target * log_softmax(z)).sum(axis=1)


def logit(p: Array) -> Array:
    return np.log(p) - np.log1p(-p)
