"""The base of every loss, and the one door to them: a trainer calls these functions and never names a loss.

A loss is a file in `w2s/losses/`. It has `class Config(LossConfig)` and

    loss(config, logits_BC, target_BC, progress, statistics) -> per-row losses [B]

and may have

    batch_statistics(config, logits_NC, target_NC, weight_N) -> Statistics   what it must know of the whole global batch
    needs_batch(config) -> bool                    whether these numbers call for the line above (True where not defined)
    label_statistics(config, target_MC) -> Statistics     what it must know of all the training labels, before the first step
    check(config, n_classes) -> None                      raises BadInput for a task it cannot serve
    coefficient(config, progress) -> Number        the weight that changes as training goes on, for curves
    CROWD = True       it listens to several labellers: `target_BC` is then [B, M, C], or [B, C] for a crowd of one

and, where a loss learns something of its own beside the model (how much each labeller is to be believed):

    beginning(config, target_MC) -> Statistics     what it knows before the first step, given all the training labels
    slopes(config, logits_BC, target_BC, weight_B, progress, statistics) -> Statistics
                                                   sums over rows, of any shape: added up over the whole global batch
    advanced(config, learned, slopes, progress) -> Statistics     after a step; `slopes` are means over the batch's rows

`loss` and `slopes` are given what was learned so far among the statistics, by the same names.

    FIXED = True       one smooth function of the logits, the same throughout training: a line search may be used on it

`loss` is given all statistics in one dict. Weights are 0 for padding and 1 for a row, or anything between: a row that
counts for less. A row of weight 0 may hold any finite numbers, a label of nothing but zeros too, and must come out finite.

Many small heads are trained at once by `torch.func.vmap` over these functions, with some of a config's numbers as 0-dim
tensors (`config.model_copy(update={"alpha": alpha})`; a tuple of numbers becomes a tuple of them). So no value of a tensor and
no number of a config decides which Python line runs (`choose` and `ramp` help), rows are never picked by a mask (`where` and a
weight of 0 do that), and tensors do not become numbers.

Torch is imported inside the functions of a loss, never at its top: recipes are checked without it.
"""

# B rows of a micro-batch, N rows of the global batch, M rows of the training data, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from w2s.config import Config
from w2s.registry import module

if TYPE_CHECKING:
    from torch import Tensor

Statistics: TypeAlias = "dict[str, Tensor]"
"""What a loss knows beyond its rows (of the global batch, of all labels), by name; small tensors without gradient."""

Number: TypeAlias = "float | Tensor"
"""A number of a config, or of what follows from it: a 0-dim tensor where many values are tried at once."""


class LossConfig(Config):
    """A loss's numbers. `kind` is the name of its file."""

    kind: str


def needs_statistics(config: LossConfig) -> bool:
    """Whether the loss must see the whole global batch before any row of it can be scored."""
    room = module("losses", config.kind)
    asks = getattr(room, "needs_batch", None)
    return hasattr(room, "batch_statistics") and (asks is None or bool(asks(config)))


def statistics(config: LossConfig, logits_NC: Tensor, target_NC: Tensor, weight_N: Tensor) -> Statistics:
    """What the loss needs to know of a global batch: all its rows, over micro-batches and ranks, in any order.

    `weight_N` is not negative; rows of weight 0 are padding and change nothing. Empty for a loss that needs none. Never
    carries a gradient.
    """
    if not needs_statistics(config):
        return {}
    import torch

    with torch.no_grad():
        found = module("losses", config.kind).batch_statistics(config, logits_NC, target_NC, weight_N)
    return cast("Statistics", found)


def label_statistics(config: LossConfig, target_MC: Tensor) -> Statistics:
    """What the loss needs to know of all the labels it will learn from. Empty for a loss that needs nothing of them.

    A function of the labels alone: a run that goes on from a checkpoint computes it anew, and finds the same.
    """
    special = getattr(module("losses", config.kind), "label_statistics", None)
    return {} if special is None else cast("Statistics", special(config, target_MC.detach()))


def hears_a_crowd(config: LossConfig) -> bool:
    """Whether the loss is told each labeller's opinion, and not their mean."""
    return bool(getattr(module("losses", config.kind), "CROWD", False))


def beginning(config: LossConfig, target_MC: Tensor) -> Statistics:
    """What a loss that learns knows before the first step; empty for all others."""
    special = getattr(module("losses", config.kind), "beginning", None)
    return {} if special is None else cast("Statistics", special(config, target_MC.detach()))


def slopes(
    config: LossConfig,
    logits_BC: Tensor,
    target_BC: Tensor,
    weight_B: Tensor,
    progress: float,
    statistics: Statistics,
) -> Statistics:
    """Of a loss that learns: sums over these rows, to be added to those of all other rows of the global batch."""
    import torch

    with torch.no_grad():
        found = module("losses", config.kind).slopes(config, logits_BC, target_BC, weight_B, progress, statistics)
    return cast("Statistics", found)


def advanced(config: LossConfig, learned: Statistics, slopes: Statistics, progress: float) -> Statistics:
    """What a loss that learns knows after a step, given its mean slopes over the global batch."""
    import torch

    with torch.no_grad():
        found = module("losses", config.kind).advanced(config, learned, slopes, progress)
    return cast("Statistics", found)


def compute(
    config: LossConfig, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None = None
) -> Tensor:
    """Per-row losses [B], at least float32; in nats, unless the loss says otherwise.

    `target_BC` holds probabilities; `progress` is step / total steps, in [0, 1). `statistics` is what the function of
    that name gave for the global batch these rows belong to, together with `label_statistics`; a loss that needs none
    ignores it.
    """
    rows_B = module("losses", config.kind).loss(config, logits_BC, target_BC, progress, statistics)
    return cast("Tensor", rows_B)


def check(config: LossConfig, n_classes: int) -> None:
    """Raises BadInput when the loss cannot serve a task with so many classes."""
    special = getattr(module("losses", config.kind), "check", None)
    if special is not None:
        special(config, n_classes)


def coefficient(config: LossConfig, progress: float) -> float | None:
    """The weight of what a loss adds to the labels at `progress` in [0, 1); None for a loss that tells of none."""
    special = getattr(module("losses", config.kind), "coefficient", None)
    return None if special is None else float(special(config, progress))


def choose(condition: bool | Tensor, yes: Number, no: Number) -> Number:
    """`yes` where the condition holds, else `no`; a 0-dim float64 tensor when the condition is a tensor."""
    import torch

    if not isinstance(condition, torch.Tensor):
        return yes if condition else no
    device = condition.device  # widened first: two bare numbers would become float32
    yes, no = (torch.as_tensor(value, dtype=torch.float64, device=device) for value in (yes, no))
    return torch.where(condition, yes, no)


def ramp(progress: float, end: Number) -> Number:
    """0 at the start of training, 1 from `end` on (a share of training), linear between; an `end` of 0 means 1 always."""
    return choose(progress < end, progress / choose(end > 0, end, 1.0), 1.0)


def one_hot(scores_BC: Tensor) -> Tensor:
    """1 at each row's highest score and 0 elsewhere [B, C]; of equals the lowest class. Carries no gradient."""
    import torch

    likeliest_B1 = scores_BC.detach().argmax(dim=-1, keepdim=True)
    return torch.zeros_like(scores_BC).scatter(-1, likeliest_B1, 1.0)


def at_least_float32(values: Tensor) -> Tensor:
    """Half-precision values as float32; float32 and float64 as they are."""
    import torch

    return values if values.dtype == torch.float64 else values.float()


def soft_cross_entropy(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Per row, minus the sum over classes of target * log softmax(logits). Gradient in the logits: softmax - target."""
    log_probs_BC = at_least_float32(logits_BC).log_softmax(dim=-1)
    return -(target_BC.to(log_probs_BC.dtype) * log_probs_BC).sum(dim=-1)
