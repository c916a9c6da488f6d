"""Confidence-adaptive cross-entropy: forward for sure labels, reverse for unsure ones (Xu et al. 2025, arXiv 2505.24313).

    L = CE(w, p) where s(w) >= c, else CE(p, w'),    s(w) = max w - 1/C

With two classes s is |w - 0.5|. (Published for two; measuring from 1/C is our form for more.) The threshold c is a number,
or the value of s at a quantile of all the training labels: quantile 0.3 sends the least sure 30 % to the reverse loss.
"""

# B rows, M rows of the training data, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, at_least_float32, soft_cross_entropy
from w2s.losses._labels import quantile, sureness
from w2s.losses.reverse_xent import reverse_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["cace"] = "cace"
    by: Literal["threshold", "quantile"] = Field(
        "quantile", description="how sure and unsure labels are parted: at `threshold`, or at `quantile` of them all"
    )
    threshold: float = Field(0.25, ge=0, le=1, description="distance of a label's top probability from 1/C")
    quantile: float = Field(0.3, ge=0, le=1, description="share of the training labels that count as unsure")
    eps: float = Field(0.0, ge=0, lt=1, description="share of an even label mixed into the label, in the reverse part")


def label_statistics(config: Config, target_MC: Tensor) -> Statistics:
    """{"threshold": scalar} by quantile, else nothing."""
    if config.by != "quantile":
        return {}
    return {"threshold": quantile(sureness(at_least_float32(target_MC)), config.quantile)}


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats: forward or reverse, row by row."""
    import torch

    sure_B = sureness(at_least_float32(target_BC))
    if config.by == "quantile":
        assert statistics is not None, "a quantile needs `label_statistics` of the training labels"
        sure_B = sure_B >= statistics["threshold"].to(sure_B.device)
    else:
        sure_B = sure_B >= config.threshold
    forward_B = soft_cross_entropy(logits_BC, target_BC)
    return torch.where(sure_B, forward_B, reverse_cross_entropy(logits_BC, target_BC, config.eps))
