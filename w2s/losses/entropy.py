"""Entropy loss: the student is also rewarded for being sure (Burns et al. 2023, appendix B; EleutherAI's w2s, 2024).

    L = (1 - a) CE(weak label, p) + a H(p),    a = alpha * min(1, progress / warmup)

H is the entropy of the student's own prediction, and its gradient counts: d/dz_c = (1 - a) (p_c - w_c) - a p_c (log p_c + H).
EleutherAI's released code cuts that gradient off by taking its own prediction as a fixed target, which leaves plain
cross-entropy scaled by 1 - a; and Burns et al. print the term with the sign that would make the student unsure.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, at_least_float32, ramp

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["entropy"] = "entropy"
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the entropy after warm-up")
    warmup: float = Field(0.2, ge=0, le=1, description="share of training over which alpha grows from 0; 0 for none")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats."""
    log_probs_BC = at_least_float32(logits_BC).log_softmax(dim=-1)
    weight = config.alpha * ramp(progress, config.warmup)
    # both terms are means of -log p: under the label, and under the prediction itself
    mixed_BC = (1 - weight) * target_BC.to(log_probs_BC.dtype) + weight * log_probs_BC.exp()
    return -(mixed_BC * log_probs_BC).sum(dim=-1)
