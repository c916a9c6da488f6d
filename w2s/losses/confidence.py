"""Confidence loss: the student may side with its own hardened guess (Burns et al. 2023, arXiv 2312.09390, A.4).

    L = (1 - a) CE(weak label, p) + a CE(hardened guess, p)

The guess is class 1 where the student leans towards it more than a threshold, and the threshold is set so that the
share of class 1 among the guesses equals its share in the weak labels (their mean), both over the whole global
batch. Otherwise the student could please this term by giving one answer to everything. No gradient flows through
the guess.

Two variants. `paper`: a = alpha * min(1, progress / warmup); the cut is placed between two neighbouring rows, where
the share comes nearest to the prior. `reference`: as openai's released code has it, for comparison only: a = alpha
* progress until progress > warmup, then at once a = alpha; the cut is the linearly interpolated quantile of P(class
0).

Ties. Rows with equal predictions get equal guesses. A zero head makes all rows equal: `paper` then gives all of
them the class whose share is larger (class 0 at one half), `reference` class 0. With a warm-up, alpha is 0 at that
step and the guess has no weight; with `warmup: 0` prefer `head: normal`.
"""

# B rows of a micro-batch, N rows of the global batch, C = 2 classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cluster.errors import BadInput
from w2s.loss import LossConfig, Statistics, at_least_float32, soft_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["confidence"] = "confidence"
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the student's own guess after warm-up")
    warmup: float = Field(0.2, ge=0, le=1, description="share of training over which alpha grows from 0; 0 for none")
    variant: Literal["paper", "reference"] = Field(
        "paper", description="reference: openai's released formula, with jump"
    )
    prior: Literal["batch", "half"] = Field(
        "batch", description="share of class 1 among guesses: mean weak label, or half"
    )


def check(config: Config, n_classes: int) -> None:
    """Raises BadInput unless there are two classes: one threshold separates two."""
    if n_classes != 2:
        raise BadInput(
            "loss confidence",
            f"serves two classes, this task has {n_classes}",
            "write the task's rows as right-or-wrong candidates, or use loss xent (method naive)",
        )


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats: cross-entropy against (1 - a) * label + a * guess. Raises BadInput unless C is 2."""
    check(config, logits_BC.shape[-1])
    assert statistics is not None, "the confidence loss needs `batch_statistics` of the global batch"
    weight = coefficient(config, progress)
    guess_BC = guesses(config, logits_BC, statistics)
    # cross-entropy is linear in its target, so the two terms are one; at weight 0 the target is the label, bit for bit
    return soft_cross_entropy(logits_BC, (1 - weight) * target_BC.to(guess_BC.dtype) + weight * guess_BC)


def batch_statistics(config: Config, logits_NC: Tensor, target_NC: Tensor, weight_N: Tensor) -> Statistics:
    """{"prior": share of class 1 to match, "threshold": where to cut}, scalars, from every row of the global batch.

    `threshold` is a margin (logit 1 - logit 0) for `paper`, possibly infinite; a P(class 0) for `reference`.
    Rows of weight 0 are padding and are ignored.
    """
    check(config, logits_NC.shape[-1])
    real_N = weight_N > 0
    logits_NC, weight_N = at_least_float32(logits_NC.detach()[real_N]), weight_N[real_N].double()
    assert len(logits_NC) > 0, "a global batch has at least one row that is not padding"
    share_N = weight_N / weight_N.sum()
    prior = (share_N * target_NC.detach()[real_N, 1]).sum().clamp(0, 1)
    if config.prior == "half":
        prior = prior.new_tensor(0.5)
    if config.variant == "reference":
        threshold = logits_NC.softmax(dim=-1)[:, 0].quantile(prior.to(logits_NC.dtype))
    else:
        threshold = _cut(_margin(logits_NC), share_N, prior)
    return {"prior": prior, "threshold": threshold}


def coefficient(config: Config, progress: float) -> float:
    """The weight of the guess at `progress` in [0, 1)."""
    if config.variant == "reference":
        # the ramp climbs to alpha * warmup and then leaps to alpha (openai/weak-to-strong, pull request 33)
        return config.alpha * (1.0 if progress > config.warmup else progress)
    return config.alpha * (min(1.0, progress / config.warmup) if config.warmup > 0 else 1.0)


def guesses(config: Config, logits_BC: Tensor, statistics: Statistics) -> Tensor:
    """The student's predictions hardened at the threshold: one-hot rows [B, 2] without gradient."""
    import torch

    logits_BC = at_least_float32(logits_BC.detach())
    threshold = statistics["threshold"].to(logits_BC.device)
    if config.variant == "reference":
        one_B = logits_BC.softmax(dim=-1)[:, 0] < threshold
    else:
        one_B = _margin(logits_BC) > threshold
    return torch.stack([~one_B, one_B], dim=-1).to(logits_BC.dtype)


def _margin(logits_BC: Tensor) -> Tensor:
    # orders rows as P(class 1) does, without that number's ties near 0 and 1
    return logits_BC[:, 1] - logits_BC[:, 0]


def _cut(margin_N: Tensor, share_N: Tensor, prior: Tensor) -> Tensor:
    """The margin above which the rows' shares add up as near to `prior` as any cut between unequal rows allows.

    It lies halfway between its neighbours, so that a micro-batch whose sums round otherwise falls on the same side.
    """
    import torch

    margin_N, order_N = margin_N.sort(descending=True)
    # cut k hardens the first k rows to class 1: k = 0 .. N
    above = torch.cat([share_N.new_zeros(1), share_N[order_N].cumsum(0)])
    end = margin_N.new_full((1,), torch.inf)
    upper, lower = torch.cat([end, margin_N]), torch.cat([margin_N, -end])
    distance = torch.where(upper > lower, (above - prior).abs(), torch.inf)
    k = distance.argmin()
    return (upper[k] + lower[k]) / 2
