"""Product confidence loss: weak label times the student's own prediction (Burns et al. 2023, arXiv 2312.09390, appendix B).

    target_c ~ p_c^beta * w_c^alpha, made to sum to 1;  L = CE(target, p)

No gradient flows through the target. With two classes and both exponents 1, logit(target) = logit(p) + logit(w): the
gradient has the sign of the hard weak label, and fades only as the student comes to agree. Where w is 0 or 1 this is plain
cross-entropy.

The released code takes a warm-up for this loss and never uses it; `warmup: 0` is that. Here `warmup` does what it says:
beta grows from 0, and with alpha 1 training starts as plain cross-entropy.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, at_least_float32, ramp, soft_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


RULED_OUT = -1e30


class Config(LossConfig):
    kind: Literal["product"] = "product"
    alpha: float = Field(1.0, ge=0, le=10, description="exponent of the weak label's probabilities")
    beta: float = Field(1.0, ge=0, le=10, description="exponent of the student's own probabilities after warm-up")
    warmup: float = Field(0.0, ge=0, le=1, description="share of training over which beta grows from 0; 0 for none")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats: cross-entropy against the normalised product."""
    return soft_cross_entropy(logits_BC, product(config, logits_BC, target_BC, progress))


def product(config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float) -> Tensor:
    """What the student is taught: the normalised product of powers [B, C], without gradient."""
    import torch

    own_BC = at_least_float32(logits_BC.detach()).log_softmax(dim=-1)
    label_BC = target_BC.detach().to(own_BC.dtype)
    alpha = torch.as_tensor(config.alpha, dtype=own_BC.dtype, device=own_BC.device)
    # xlogy: an exponent of 0 makes a class that the label rules out count as 1. Else it stays out, by a finite number:
    # in a row of padding all may be ruled out
    label_BC = torch.xlogy(alpha, label_BC).clamp(min=RULED_OUT)
    return (config.beta * ramp(progress, config.warmup) * own_BC + label_BC).softmax(dim=-1)
