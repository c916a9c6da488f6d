"""Reverse cross-entropy: the student may pick among the answers its label allows (Yao et al. 2025, arXiv 2502.11107).

    L = CE(p, w') = -sum_c p_c log w'_c,    w' = (1 - eps) w + eps / C

The argument that carries the gradient is the first one. d/dz_c = -p_c (log w'_c - sum_k p_k log w'_k); with two classes, in
the difference of the logits, -f (1 - f) logit(w'): no push where the label is even, and none once the student is sure. Its
entropy is not held up (that would be reverse KL), so it grows sure of the label's likeliest class.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Number, Statistics, at_least_float32

if TYPE_CHECKING:
    from torch import Tensor

LOG_ZERO = -100.0  # what log 0 counts as; torch's own binary cross-entropy takes the same

FIXED = True


class Config(LossConfig):
    kind: Literal["reverse_xent"] = "reverse_xent"
    eps: float = Field(0.0, ge=0, lt=1, description="share of an even label mixed into each weak label (log 0 is -100)")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats."""
    return reverse_cross_entropy(logits_BC, target_BC, config.eps)


def reverse_cross_entropy(logits_BC: Tensor, target_BC: Tensor, eps: Number, log_zero: Number = LOG_ZERO) -> Tensor:
    """Per row, minus the sum over classes of softmax(logits) * log w' [B]; no log w' counts as less than `log_zero`."""
    import torch

    probs_BC = at_least_float32(logits_BC).softmax(dim=-1)
    label_BC = target_BC.to(probs_BC.dtype)
    smooth_BC = (1 - eps) * label_BC + eps / label_BC.shape[-1]
    floor = torch.as_tensor(log_zero, dtype=probs_BC.dtype, device=probs_BC.device)
    return -(probs_BC * torch.maximum(smooth_BC.log(), floor)).sum(dim=-1)
