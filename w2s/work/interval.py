"""Interval arithmetic through linear layers and ReLU: what a network's outputs are at most and at least over a box of inputs.

Exact for a linear layer (every bound is reached, each by some input of the box), sound for several in a row. Bounds through
attention blow up within a layer or two, so a transformer has no place here (Heo et al. 2023; their boxes are centre and radius too).
"""

# B rows, D inputs, E outputs, C classes

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from w2s.loss import soft_cross_entropy


class Box(NamedTuple):
    """All points [B, D] within `radius` (not negative) of `centre`, coordinate by coordinate."""

    centre: Tensor
    radius: Tensor

    @property
    def lower(self) -> Tensor:
        return self.centre - self.radius

    @property
    def upper(self) -> Tensor:
        return self.centre + self.radius


def linear(box: Box, weight_ED: Tensor, bias_E: Tensor | None = None) -> Box:
    """The smallest box around x W' + b over all x of a box."""
    centre_BE = nn.functional.linear(box.centre, weight_ED, bias_E)
    return Box(centre_BE, nn.functional.linear(box.radius, weight_ED.abs()))


def relu(box: Box) -> Box:
    """The smallest box around max(x, 0)."""
    lower, upper = box.lower.clamp(min=0), box.upper.clamp(min=0)
    return Box((lower + upper) / 2, (upper - lower) / 2)


def through(box: Box, layers: nn.Sequential) -> Box:
    """A box around what linear layers and ReLUs in a row make of a box. Raises TypeError for any other layer."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            box = linear(box, layer.weight, layer.bias)
        elif isinstance(layer, nn.ReLU):
            box = relu(box)
        else:
            raise TypeError(f"no bounds through {type(layer).__name__}: linear layers and ReLU alone")
    return box


def worst_logits(box_BC: Box) -> Tensor:
    """[B, C, C]: for each class y that might be meant, its own lower bound and all others' upper bounds."""
    own_CC = torch.eye(box_BC.centre.shape[-1], dtype=torch.bool, device=box_BC.centre.device)
    return torch.where(own_CC, box_BC.lower[:, None, :], box_BC.upper[:, None, :])


def worst_cross_entropy(box_BC: Box, target_BC: Tensor) -> Tensor:
    """[B]: no logits of the box have a higher cross-entropy to the labels than this.

    Of a soft label each class is taken at its own worst; a certain one gives the loss as released.
    """
    worst_BCC = worst_logits(box_BC)
    each_BC = soft_cross_entropy(worst_BCC, torch.eye(worst_BCC.shape[-1], device=worst_BCC.device)[None])
    return (target_BC.to(each_BC.dtype) * each_BC).sum(dim=-1)
