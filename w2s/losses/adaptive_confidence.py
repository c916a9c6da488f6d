"""AdaptConf: each row decides how far the student may follow itself (Guo et al. 2024, arXiv 2402.03749, "V-sup").

    L = (1 - a) CE(weak label, p) + a CE(own argmax, p)
    a = exp(c_s / T) / (exp(c_s / T) + exp(c_w / T)),  c_s = CE(own argmax, p),  c_w = CE(weak argmax, p)

No gradient flows through a or through either argmax. That is `direction: published`. As c_s <= c_w always, a <= 1/2, and a
student that is sure and disagrees gets a near 0: it follows its teacher the more, against what the text says of the method.
`direction: flipped` exchanges the two (1 - a for a): a sure student that disagrees keeps its own answer.
"""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, at_least_float32, one_hot, soft_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["adaptive_confidence"] = "adaptive_confidence"
    temperature: float = Field(0.5, gt=0, description="T: the larger, the nearer every row's weight is to 1/2")
    direction: Literal["published", "flipped"] = Field(
        "published", description="flipped: weights exchanged, so that a sure student follows itself"
    )


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats."""
    own_BC = one_hot(at_least_float32(logits_BC))
    weight_B1 = own_weight(config, logits_BC, target_BC)[:, None]
    return soft_cross_entropy(logits_BC, (1 - weight_B1) * target_BC.to(own_BC.dtype) + weight_B1 * own_BC)


def own_weight(config: Config, logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """The weight of the student's own answer, row by row [B], without gradient."""
    logits_BC = at_least_float32(logits_BC.detach())
    own_B = soft_cross_entropy(logits_BC, one_hot(logits_BC))
    weak_B = soft_cross_entropy(logits_BC, one_hot(target_BC))
    lead_B = own_B - weak_B if config.direction == "published" else weak_B - own_B
    return (lead_B / config.temperature).sigmoid()
