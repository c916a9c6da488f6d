"""The strong model: a two-layer ReLU CNN F_+(X) - F_-(X) with F_s(X) = (1/m) sum over filters and patches of ReLU(<w_sr, x_p>).

The second layer is fixed. The loss is the mean of log(1 + exp(-y f)); its gradient is written out, and a test holds it against finite
differences.
"""

# N items, P noise patches, D coordinates of noise, R = 2m filters (the first m for +1), V distinct signal patches

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from w2s.bench_theory.cnn.config import Point
from w2s.bench_theory.cnn.data import Items


@dataclass(frozen=True)
class Filters:
    """The first layer, in the signals' coordinates and in those of noise."""

    signal_R4: Tensor
    noise_RD: Tensor

    @property
    def votes_R(self) -> Tensor:
        """The second layer: 1/m for the first half, -1/m for the second."""
        half = len(self.signal_R4) // 2
        ones = self.signal_R4.new_ones(half) / half
        return torch.cat([ones, -ones])

    def outputs(self, items: Items) -> Tensor:
        """f of each item [N]."""
        return _heights(self, items).outputs(items, self.votes_R)

    def minus(self, other: Filters, times: float) -> Filters:
        return Filters(self.signal_R4 - times * other.signal_R4, self.noise_RD - times * other.noise_RD)


@dataclass(frozen=True)
class _Heights:
    """<w_r, x_p> of every filter and patch."""

    signal_VR: Tensor
    noise_PR: Tensor

    def outputs(self, items: Items, votes_R: Tensor) -> Tensor:
        return items.over_patches(self.signal_VR.relu() @ votes_R, self.noise_PR.relu() @ votes_R)


@dataclass(frozen=True)
class Slope:
    """Loss, its gradient, and f of each item [N]."""

    loss: float
    gradient: Filters
    outputs_N: Tensor


def begin(point: Point, generator: np.random.Generator) -> Filters:
    """Gaussian filters of standard deviation sigma_0 in every coordinate."""
    drawn = generator.standard_normal((2 * point.filters, 4 + point.dims), dtype=np.float32) * np.float32(point.init)
    return Filters(torch.from_numpy(drawn[:, :4].copy()), torch.from_numpy(drawn[:, 4:].copy()))


def slope(filters: Filters, items: Items, labels_N: Tensor) -> Slope:
    """Where the loss on these labels (+1 or -1) goes down."""
    heights, votes_R = _heights(filters, items), filters.votes_R
    f_N = heights.outputs(items, votes_R)
    push_N = -labels_N * torch.sigmoid(-labels_N * f_N) / len(items)
    push_V, push_P = items.to_patches(push_N)
    lit_VR = (heights.signal_VR > 0).to(push_V.dtype) * push_V[:, None]
    lit_PR = (heights.noise_PR > 0).to(push_P.dtype) * push_P[:, None]
    gradient = Filters(votes_R[:, None] * (lit_VR.T @ items.signals_V4), votes_R[:, None] * (lit_PR.T @ items.noise_PD))
    return Slope(float(softplus(-labels_N * f_N).mean()), gradient, f_N)


def _heights(filters: Filters, items: Items) -> _Heights:
    return _Heights(items.signals_V4 @ filters.signal_R4.T, items.noise_PD @ filters.noise_RD.T)
