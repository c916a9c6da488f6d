"""RAVEN: a crowd's labels mixed by weights that are learned beside the student (Jeon et al. 2025, arXiv 2510.21332).

    L = mean over i of m_i CE(q_i, f(x_i)),   q = sum_k o_k p_k, renormalised          `mix: prob`
                                              q = softmax(sum_k o_k log p_k)           `mix: logit`

f is the student; p_k are the class probabilities of supervisor k, and o_k is its weight, one number for all rows, never negative
and 1 in all. The published image experiments mix probabilities, those on text mix logits (their variant for text). The two
differ where supervisors are unequally sure.

While `progress < easy`, m_i is 1 only where all supervisors name the same class (the mean is over the whole batch all the same,
so that early steps are the shorter, as released). While `progress < freeze` the weights stay as they began. Then they learn
by plain gradient descent on the slope of the same pass, after the model's own step: with a step of their own, `weight_lr`,
which decides everything. A full move takes about (1 / K) / (weight_lr * difference in cross-entropy) steps; where the weights
have not moved, RAVEN is the mean of the crowd. `simplex: clip` keeps them on the simplex as released (at least 1e-6, then
divided by their sum), `softmax` makes them the softmax of numbers without bounds.

The loss is linear in the weights: its least is one supervisor alone, unless `entropy_bonus` (not published) holds them together. A
supervisor's cross-entropy is the lower the surer it is, right or wrong: compare supervisors only after calibration (method
`raven` does that). A crowd of one is `xent`.
"""

# B rows, M supervisors, C classes, N rows to learn from

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.examples import hash_unit
from w2s.loss import LossConfig, Statistics, at_least_float32, choose

if TYPE_CHECKING:
    from torch import Tensor

CROWD = True
WEIGHT = "weight"  # what is learned, by name
LEAST = 1e-6  # of a weight, as released
TINY = 1e-12  # keeps the log of a sure label, and a division by a label of nothing but zeros, finite


class Config(LossConfig):
    kind: Literal["raven"] = "raven"
    start: Literal["uniform", "random", "entropy"] = Field(
        "uniform", description="the weights at first; entropy: the surer on average, the more"
    )
    seed: int = Field(0, ge=0, description="of start: random")
    mix: Literal["prob", "logit"] = Field("prob", description="what is averaged: probabilities, or their logarithms")
    easy: float = Field(0.2, ge=0, le=1, description="share of training on rows alone where all supervisors agree")
    freeze: float = Field(0.2, ge=0, le=1, description="share of training before the weights begin to move")
    weight_lr: float = Field(1e-2, ge=0, description="step of the weights; it decides everything. 0: the mean ensemble")
    simplex: Literal["clip", "softmax"] = Field("clip", description="how the weights stay weights; clip: as released")
    entropy_bonus: float = Field(0.0, ge=0, description="what even weights are worth, in nats of loss; 0: as released")


def beginning(config: Config, target_MC: Tensor) -> Statistics:
    """Every supervisor's weight [M] before the first step, given all labels to learn from [N, M, C]."""
    import torch

    target_NMC = _each(target_MC)
    count = target_NMC.shape[1]
    if config.start == "uniform":
        weight_M = torch.ones(count, dtype=torch.float64)
    elif config.start == "random":  # evenly over the simplex: shares of exponential draws
        draws = [hash_unit("raven", config.seed, member) for member in range(count)]
        weight_M = torch.tensor([-math.log1p(-draw) + TINY for draw in draws], dtype=torch.float64)
    else:
        wide_NMC = target_NMC.double()
        unsure_M = -(wide_NMC * wide_NMC.clamp(min=TINY).log()).sum(dim=-1).mean(dim=0)
        weight_M = 1 / unsure_M.clamp(min=LEAST)
    return {WEIGHT: weight_M / weight_M.sum()}


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats; 0 for rows that are not heeded yet."""
    log_probs_BC = at_least_float32(logits_BC).log_softmax(dim=-1)
    target_BMC = _each(target_BC).to(log_probs_BC.dtype)
    mixed_BC = mixed(config, target_BMC, _weights(target_BMC, statistics))
    return -(mixed_BC * log_probs_BC).sum(dim=-1) * _heeded(config, target_BMC, progress)


def slopes(
    config: Config,
    logits_BC: Tensor,
    target_BC: Tensor,
    weight_B: Tensor,
    progress: float,
    statistics: Statistics,
) -> Statistics:
    """The sum over rows of each row's slope in every weight [M], through the mixture and its renormalisation."""
    log_probs_B1C = logits_BC.double().log_softmax(dim=-1)[:, None]
    target_BMC = _each(target_BC).double()
    weight_M = _weights(target_BMC, statistics)
    if config.mix == "prob":
        total_B1 = _mean(target_BMC, weight_M).sum(dim=-1, keepdim=True).clamp(min=TINY)
        cost_B1 = -(mixed(config, target_BMC, weight_M) * log_probs_B1C[:, 0]).sum(dim=-1, keepdim=True)
        slope_BM = (-(target_BMC * log_probs_B1C).sum(dim=-1) - target_BMC.sum(dim=-1) * cost_B1) / total_B1
    else:
        mixed_B1C = mixed(config, target_BMC, weight_M)[:, None]
        logs_BMC = _logs(target_BMC)
        apart_BMC = logs_BMC - (mixed_B1C * logs_BMC).sum(dim=-1, keepdim=True)
        slope_BM = -(mixed_B1C * apart_BMC * log_probs_B1C).sum(dim=-1)
    counts_B = weight_B.double() * _heeded(config, target_BMC, progress)
    return {WEIGHT: (slope_BM * counts_B[:, None]).sum(dim=0)}


def advanced(config: Config, learned: Statistics, slopes: Statistics, progress: float) -> Statistics:
    """The weights after a step, back on the simplex."""
    weight_M = learned[WEIGHT]
    if progress < config.freeze:
        return learned
    # of minus `entropy_bonus` times the entropy of the weights: of the whole objective, not of any row
    slope_M = slopes[WEIGHT] + config.entropy_bonus * (weight_M.clamp(min=TINY).log() + 1)
    if config.simplex == "clip":
        moved_M = (weight_M - config.weight_lr * slope_M).clamp(min=LEAST)
        return {WEIGHT: moved_M / moved_M.sum()}
    # a softmax's numbers are the logarithms of its values, but for a constant that changes nothing: weights are all there is to keep
    own_M = weight_M * (slope_M - (weight_M * slope_M).sum())
    return {WEIGHT: (weight_M.clamp(min=1e-30).log() - config.weight_lr * own_M).softmax(dim=-1)}


def mixed(config: Config, target_BMC: Tensor, weight_M: Tensor) -> Tensor:
    """What the crowd says of each row [B, C] under these weights."""
    if config.mix == "logit":
        return _mean(_logs(target_BMC), weight_M).softmax(dim=-1)
    sum_BC = _mean(target_BMC, weight_M)
    return sum_BC / sum_BC.sum(dim=-1, keepdim=True).clamp(min=TINY)


def _heeded(config: Config, target_BMC: Tensor, progress: float) -> Tensor:
    """1 for rows that are learned from now [B], 0 for the others."""
    import torch

    named_BM = target_BMC.argmax(dim=-1)
    agreed_B = (named_BM == named_BM[:, :1]).all(dim=-1).to(target_BMC.dtype)
    heeded = choose(progress < config.easy, agreed_B, torch.ones_like(agreed_B))
    assert isinstance(heeded, torch.Tensor)
    return heeded.to(target_BMC.dtype)


def _each(target_BC: Tensor) -> Tensor:
    """[B, M, C]; labels of one supervisor are a crowd of one."""
    return target_BC[:, None] if target_BC.dim() == 2 else target_BC


def _weights(target_BMC: Tensor, statistics: Statistics | None) -> Tensor:
    """The weights as they are now [M]. One supervisor has all the weight, whoever asks."""
    import torch

    if target_BMC.shape[1] == 1:
        return torch.ones(1, dtype=target_BMC.dtype, device=target_BMC.device)
    assert statistics is not None, "the weights of a crowd are learned"
    return statistics[WEIGHT].to(target_BMC.dtype)


def _mean(values_BMC: Tensor, weight_M: Tensor) -> Tensor:
    return (values_BMC * weight_M[:, None]).sum(dim=1)


def _logs(target_BMC: Tensor) -> Tensor:
    return target_BMC.clamp(min=TINY).log()
