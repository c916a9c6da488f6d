"""Cross-entropy on the weak labels: naive finetuning (Burns et al. 2023, arXiv 2312.09390, section 4.2)."""

# B rows, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, one_hot, soft_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

FIXED = True


class Config(LossConfig):
    kind: Literal["xent"] = "xent"
    labels: Literal["soft", "hard"] = Field("soft", description="hard: the label's most likely class counts as certain")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row cross-entropy [B], in nats. A hard label is the soft one's argmax; a tie goes to the lowest class."""
    if config.labels == "hard":
        # argmax gives the first of equals, so 0.5 / 0.5 is class 0, as "1 where P(1) > 0.5" would have it
        target_BC = one_hot(target_BC)
    return soft_cross_entropy(logits_BC, target_BC)
