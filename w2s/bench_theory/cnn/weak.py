"""The weak model: a linear CNN f(X) = sum over patches of <w, x_p>, from zero, by full-batch gradient descent on the truth.

It cannot see the hard signal: turning a hard-only item around (eps and noise times -1) leaves its law and its label as they are and
turns the sign of f, so that exactly half of them are right, whatever w is (Proposition 2.1).
"""

# N items, D coordinates of noise

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from w2s.bench_theory.cnn.config import Point
from w2s.bench_theory.cnn.data import Items


@dataclass(frozen=True)
class Linear:
    """Weights in the signals' coordinates, and in those of noise."""

    signal_4: Tensor
    noise_D: Tensor

    def outputs(self, items: Items) -> Tensor:
        """f of each item [N]."""
        return items.over_patches(items.signals_V4 @ self.signal_4, items.noise_PD @ self.noise_D)


def train(items: Items, point: Point) -> Linear:
    """Minimise the mean of log(1 + exp(-y f)) from zero."""
    count = len(items)
    # the model is linear in the sum of an item's patches: two thirds of the work
    summed_ND = items.noise_PD[:count].clone()
    summed_ND[: len(items.noise_PD) - count] += items.noise_PD[count:]
    signal_N4 = items.signals_V4[items.easy_N] + items.signals_V4[items.hard_N]
    weights = Linear(signal_N4.new_zeros(4), summed_ND.new_zeros(summed_ND.shape[1]))
    for _ in range(point.weak_steps):
        f_N = signal_N4 @ weights.signal_4 + summed_ND @ weights.noise_D
        push_N = items.truth_N * torch.sigmoid(-items.truth_N * f_N) * (point.weak_lr / count)
        weights = Linear(weights.signal_4 + push_N @ signal_N4, weights.noise_D + push_N @ summed_ND)
    return weights
