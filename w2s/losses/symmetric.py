"""Symmetric loss: cross-entropy plus a little reverse cross-entropy (Wang et al. 2019, arXiv 1908.06112; Xu et al. 2025).

    L = alpha CE(w, p) + beta CE(p, w')

Defaults are those of the weak-to-strong study (Xu et al., arXiv 2505.24313): 1 and 0.1, no smoothing, log 0 as -100. Wang et
al. take log 0 as -4.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, soft_cross_entropy
from w2s.losses.reverse_xent import LOG_ZERO, reverse_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

FIXED = True


class Config(LossConfig):
    kind: Literal["symmetric"] = "symmetric"
    alpha: float = Field(1.0, ge=0, description="weight of cross-entropy")
    beta: float = Field(0.1, ge=0, description="weight of reverse cross-entropy")
    eps: float = Field(0.0, ge=0, lt=1, description="share of an even label mixed into the label, in the reverse part")
    log_zero: float = Field(LOG_ZERO, lt=0, description="the least that the log of a label's probability counts as")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats."""
    forward_B = soft_cross_entropy(logits_BC, target_BC)
    return config.alpha * forward_B + config.beta * reverse_cross_entropy(
        logits_BC, target_BC, config.eps, config.log_zero
    )
