"""Generalised cross-entropy: between cross-entropy and mean absolute error (Zhang & Sabuncu 2018, arXiv 1805.07836).

    L = sum_c t_c (1 - p_c^q) / q

q near 0 is cross-entropy; q = 1 is 1 - p of the label's class, half the absolute error, which noise hardly moves and which
learns slowly. Published for certain labels; a soft label counts each class by its share. Not in nats for q > 0.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, at_least_float32, one_hot

if TYPE_CHECKING:
    from torch import Tensor

FIXED = True


class Config(LossConfig):
    kind: Literal["generalised_xent"] = "generalised_xent"
    q: float = Field(0.7, gt=0, le=1, description="0 (excluded): as cross-entropy; 1: as mean absolute error")
    labels: Literal["soft", "hard"] = Field("soft", description="hard: the label's most likely class counts as certain")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], between 0 and 1/q."""
    if config.labels == "hard":
        target_BC = one_hot(target_BC)
    log_probs_BC = at_least_float32(logits_BC).log_softmax(dim=-1)
    # expm1 keeps every digit where q is small
    return -(target_BC.to(log_probs_BC.dtype) * (config.q * log_probs_BC).expm1() / config.q).sum(dim=-1)
