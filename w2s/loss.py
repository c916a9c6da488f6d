"""The base of every loss, and the one door to them: a trainer calls these functions and never names a loss.

A loss is a file in `w2s/losses/`. It has `class Config(LossConfig)` and

    loss(config, logits_BC, target_BC, progress, statistics) -> per-row losses [B]

and may have

    batch_statistics(config, logits_NC, target_NC, weight_N) -> Statistics   what it must know of the whole global batch
    check(config, n_classes) -> None                                         raises BadInput for a task it cannot serve

Torch is imported inside the functions of a loss, never at its top: recipes are checked without it.
"""

# B rows of a micro-batch, N rows of the global batch, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from w2s.config import Config
from w2s.registry import module

if TYPE_CHECKING:
    from torch import Tensor

Statistics: TypeAlias = "dict[str, Tensor]"
"""What a loss knows of the whole global batch, by name; small tensors without gradient."""


class LossConfig(Config):
    """A loss's numbers. `kind` is the name of its file."""

    kind: str


def needs_statistics(config: LossConfig) -> bool:
    """Whether the loss must see the whole global batch before any row of it can be scored."""
    return hasattr(module("losses", config.kind), "batch_statistics")


def statistics(config: LossConfig, logits_NC: Tensor, target_NC: Tensor, weight_N: Tensor) -> Statistics:
    """What the loss needs to know of a global batch: all its rows, over micro-batches and ranks, in any order.

    Rows of weight 0 are padding and change nothing. Empty for a loss that needs none. Never carries a gradient.
    """
    if not needs_statistics(config):
        return {}
    import torch

    with torch.no_grad():
        found = module("losses", config.kind).batch_statistics(config, logits_NC, target_NC, weight_N)
    return cast("Statistics", found)


def compute(
    config: LossConfig, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None = None
) -> Tensor:
    """Per-row losses [B], in nats, at least float32.

    `target_BC` holds probabilities; `progress` is step / total steps, in [0, 1). `statistics` comes from the function
    of that name, over the global batch these rows belong to; a loss that needs none ignores it.
    """
    rows_B = module("losses", config.kind).loss(config, logits_BC, target_BC, progress, statistics)
    return cast("Tensor", rows_B)


def check(config: LossConfig, n_classes: int) -> None:
    """Raises BadInput when the loss cannot serve a task with so many classes."""
    special = getattr(module("losses", config.kind), "check", None)
    if special is not None:
        special(config, n_classes)


def at_least_float32(values: Tensor) -> Tensor:
    """Half-precision values as float32; float32 and float64 as they are."""
    import torch

    return values if values.dtype == torch.float64 else values.float()


def soft_cross_entropy(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Per row, minus the sum over classes of target * log softmax(logits). Gradient in the logits: softmax - target."""
    log_probs_BC = at_least_float32(logits_BC).log_softmax(dim=-1)
    return -(target_BC.to(log_probs_BC.dtype) * log_probs_BC).sum(dim=-1)
