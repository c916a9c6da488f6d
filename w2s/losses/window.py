"""Window loss: rows of which the student is already sure teach it nothing more (EleutherAI's w2s, 2024).

    L = CE(weak label, p) where max p < 1/C + r, else 0

With two classes: where max p < 0.5 + r. (Published for two; measuring from 1/C is our form for more.) The mean is taken
over all rows, silent ones included. The radius r is a number, or `midweak`: the median, over all the training labels w, of
max w - 1/C. An r above 1 - 1/C silences nothing: plain cross-entropy.
"""

# B rows, M rows of the training data, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, at_least_float32, soft_cross_entropy
from w2s.losses._labels import quantile, sureness

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["window"] = "window"
    by: Literal["radius", "midweak"] = Field(
        "radius", description="where the window ends: at `radius`, or at the weak labels' median distance from 1/C"
    )
    radius: float = Field(0.15, gt=0, le=1, description="distance of the top probability from 1/C (by: radius)")


def label_statistics(config: Config, target_MC: Tensor) -> Statistics:
    """{"radius": scalar} for midweak, else nothing."""
    return {"radius": quantile(sureness(at_least_float32(target_MC)), 0.5)} if config.by == "midweak" else {}


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats: cross-entropy inside the window, 0 outside."""
    import torch

    loss_B = soft_cross_entropy(logits_BC, target_BC)
    probs_BC = at_least_float32(logits_BC.detach()).softmax(dim=-1)
    if config.by == "midweak":
        assert statistics is not None, "midweak needs `label_statistics` of the training labels"
        radius = statistics["radius"].to(probs_BC.device)
    else:
        radius = config.radius  # type: ignore[assignment]
    inside_B = probs_BC.amax(dim=-1) < 1 / probs_BC.shape[-1] + radius
    return torch.where(inside_B, loss_B, 0.0)
