"""Confidence loss: the student may side with its own hardened guess (Burns et al. 2023, arXiv 2312.09390, A.4).

    L = (1 - a) CE(weak label, p) + a CE(hardened guess, p)

The guess is class 1 where the student leans towards it more than a threshold, and the threshold is set so that the
share of class 1 among the guesses equals its share in the weak labels (their mean), both over the whole global
batch. Otherwise the student could please this term by giving one answer to everything. With more than two classes the
guess is argmax_c (log p_c + b_c), with offsets b set so that every class has its share. No gradient flows through the
guess.

Three variants. `paper`: a = alpha * min(1, progress / warmup); the cut is placed between two neighbouring rows, where
the share comes nearest to the prior; with more classes every share is right to a row (`_matching.py` says how near).
`argmax`: the same, with no prior to match: the guess is the student's likeliest class, as others have it for more than two
classes (RAVEN, Jeon et al. 2025). `reference`: as openai's released code has it, for comparison only, for two classes: a =
alpha * progress until progress > warmup, then at once a = alpha; the cut is the linearly interpolated quantile of P(class 0)
over the rows, where every row counts alike.

Schedules. `alpha` may be several numbers, each held for an equal share of training: of n, number k while floor(progress * n) = k.
The warm-up multiplies them as it does one.

Ties. Rows with equal predictions get equal guesses. A zero head makes all rows equal: `paper` then gives all of
them the class whose share is largest (the lower of two equal ones), `argmax` and `reference` class 0. With a warm-up, alpha
is 0 at that step and the guess has no weight; with `warmup: 0` prefer `head: normal`.
"""

# B rows of a micro-batch, N rows of the global batch, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cluster.errors import BadInput
from w2s.loss import LossConfig, Number, Statistics, at_least_float32, choose, one_hot, ramp, soft_cross_entropy
from w2s.losses._labels import quantile
from w2s.losses._matching import cut, offsets
from w2s.losses._shares import Shares, now, repeated

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["confidence"] = "confidence"
    alpha: Shares = Field(
        0.5, description="weight of the student's own guess after warm-up; several: one after another over equal shares"
    )
    warmup: float = Field(0.2, ge=0, le=1, description="share of training over which alpha grows from 0; 0 for none")
    variant: Literal["paper", "reference", "argmax"] = Field(
        "paper", description="reference: openai's released formula, with jump; argmax: guesses match no prior"
    )
    prior: Literal["batch", "half"] = Field(
        "batch", description="each class's share among guesses: its mean weak label; half: all alike, 1/C"
    )


def check(config: Config, n_classes: int) -> None:
    """Raises BadInput where `reference` meets other than two classes: one threshold separates two."""
    if n_classes < 2 or (config.variant == "reference" and n_classes != 2):
        raise BadInput(
            "loss confidence",
            f"variant {config.variant} cannot serve {n_classes} classes",
            "use variant: paper, or loss xent (method naive)",
        )


def needs_batch(config: Config) -> bool:
    """Guesses that match no prior need nothing of the other rows."""
    return config.variant != "argmax"


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats: cross-entropy against (1 - a) * label + a * guess. Raises BadInput as `check`."""
    check(config, logits_BC.shape[-1])
    weight = coefficient(config, progress)
    guess_BC = guesses(config, logits_BC, statistics)
    # cross-entropy is linear in its target, so the two terms are one; at weight 0 the target is the label, bit for bit
    return soft_cross_entropy(logits_BC, (1 - weight) * target_BC.to(guess_BC.dtype) + weight * guess_BC)


def batch_statistics(config: Config, logits_NC: Tensor, target_NC: Tensor, weight_N: Tensor) -> Statistics:
    """What the guesses need of every row of the global batch; the priors are means of the labels by weight.

    Two classes: {"prior": share of class 1 to match, "threshold": where to cut}, scalars; the threshold is a margin
    (logit 1 - logit 0) for `paper`, possibly infinite, and a P(class 0) for `reference`. More: {"prior": shares [C],
    "offsets": b [C]}.
    """
    check(config, logits_NC.shape[-1])
    logits_NC, weight_N = at_least_float32(logits_NC.detach()), weight_N.double()
    # a batch of which no row counts yields some finite guess
    share_N = weight_N / weight_N.sum().clamp(min=1e-300)
    prior_C = _prior(config, target_NC.detach(), share_N)
    if logits_NC.shape[-1] > 2:
        return {"prior": prior_C, "offsets": offsets(logits_NC, share_N, prior_C)}
    prior = prior_C[1]
    if config.variant == "reference":
        return {"prior": prior, "threshold": _reference_threshold(logits_NC, share_N, prior)}
    return {"prior": prior, "threshold": cut(_margin(logits_NC), share_N, prior)}


def coefficient(config: Config, progress: float) -> Number:
    """The weight of the guess at `progress` in [0, 1)."""
    alpha = now(config.alpha, progress)
    if config.variant == "reference":
        # the ramp climbs to alpha * warmup and then leaps to alpha (openai/weak-to-strong, pull request 33)
        return alpha * choose(progress > config.warmup, 1.0, progress)
    return alpha * ramp(progress, config.warmup)


def decided(config: Config, alphas: tuple[float, ...], count: int) -> Config:
    """The loss with only the first `alphas` of `count` shares decided; the last of them holds for the rest.

    Two schedules that begin alike give equal losses, and so one key, as long as they are alike. Raises ValueError for
    none, for more than `count`, and for what is no weight.
    """
    return Config.model_validate({**dict(config), "alpha": repeated(alphas, count)})


def guesses(config: Config, logits_BC: Tensor, statistics: Statistics | None) -> Tensor:
    """The student's hardened predictions: one-hot rows [B, C] without gradient."""
    import torch

    logits_BC = at_least_float32(logits_BC.detach())
    if config.variant == "argmax":
        return one_hot(logits_BC)
    assert statistics is not None, "the confidence loss needs `batch_statistics` of the global batch"
    if logits_BC.shape[-1] > 2:
        return one_hot(logits_BC.double() + statistics["offsets"].to(logits_BC.device)).to(logits_BC.dtype)
    threshold = statistics["threshold"].to(logits_BC.device)
    if config.variant == "reference":
        one_B = logits_BC.softmax(dim=-1)[:, 0] < threshold
    else:
        one_B = _margin(logits_BC) > threshold
    return torch.stack([~one_B, one_B], dim=-1).to(logits_BC.dtype)


def _margin(logits_BC: Tensor) -> Tensor:
    # orders rows as P(class 1) does, without that number's ties near 0 and 1
    return logits_BC[:, 1] - logits_BC[:, 0]


def _prior(config: Config, target_NC: Tensor, share_N: Tensor) -> Tensor:
    """The share of each class to match [C], float64."""
    import torch

    mean_C = (share_N * target_NC.mT.contiguous()).sum(dim=-1).clamp(0, 1)
    return torch.full_like(mean_C, 1 / len(mean_C)) if config.prior == "half" else mean_C


def _reference_threshold(logits_NC: Tensor, share_N: Tensor, prior: Tensor) -> Tensor:
    import torch

    real_N = share_N > 0
    zero_N = torch.where(real_N, logits_NC.softmax(dim=-1)[:, 0], torch.inf)
    return quantile(zero_N, prior.to(zero_N.dtype), real_N.sum())
