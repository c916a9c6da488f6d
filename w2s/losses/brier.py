"""Brier score: squared distance between prediction and label (Brier 1950, "Verification of forecasts").

    L = sum_c (p_c - t_c)^2

Between 0 and 2, not in nats; with two classes twice (f - w)^2. Bounded, so that one wrong label moves the student little.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from w2s.loss import LossConfig, Statistics, at_least_float32

if TYPE_CHECKING:
    from torch import Tensor

FIXED = True


class Config(LossConfig):
    kind: Literal["brier"] = "brier"


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B]."""
    probs_BC = at_least_float32(logits_BC).softmax(dim=-1)
    return (probs_BC - target_BC.to(probs_BC.dtype)).square().sum(dim=-1)
