"""Evidential loss: logits as evidence for a distribution over predictions (Sensoy et al. 2018; Cui et al. 2024, 2406.03199).

    e = max(z, 0),  a = e + 1,  S = sum a
    EDL(z, t) = sum_c t_c (log S - log a_c) + k KL(Dir(a~) || Dir(1)),    a~ = (a - 1)(1 - t) + 1
    L = (1 - alpha) EDL(z, weak label) + alpha EDL(z, own argmax),        k = min(1, progress / anneal)

The first part wants evidence for the label, the second none for what is not it. `alpha` is the share of the student's own
guess in Bayesian WeakS-to-Strong. Labels are taken as certain (`hard`), as published, or as they are.

Evidence by ReLU gives a negative logit no gradient, and a row whose logits are all negative teaches nothing; `softplus` has
no such dead end. At exactly 0 the gradient here is that of the positive side: a zero head could not begin otherwise.
Accuracy and confidence are measured elsewhere on softmax(z), which ranks classes as a does.
"""

# B rows, C classes

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Number, Statistics, at_least_float32, one_hot, ramp

if TYPE_CHECKING:
    from torch import Tensor

Evidence = Literal["relu", "softplus"]


class Config(LossConfig):
    kind: Literal["edl"] = "edl"
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the student's own guess; 0 for the weak label alone")
    anneal: float = Field(
        1.0, ge=0, le=1, description="share of training over which the KL part grows from 0; 0: at once"
    )
    labels: Literal["hard", "soft"] = Field("hard", description="hard: the label's most likely class counts as certain")
    evidence: Evidence = Field("relu", description="how logits become evidence; relu is the published")


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats."""
    logits_BC = at_least_float32(logits_BC)
    wide_BC = logits_BC.double()
    evidence_BC = evidence(logits_BC, config.evidence)
    label_BC = one_hot(target_BC) if config.labels == "hard" else target_BC
    annealing = ramp(progress, config.anneal)
    weak_B = evidential(evidence_BC, label_BC.double(), annealing)
    own_B = evidential(evidence_BC, one_hot(wide_BC), annealing)
    return ((1 - config.alpha) * weak_B + config.alpha * own_B).to(logits_BC.dtype)


def evidence(logits_BC: Tensor, how: Evidence) -> Tensor:
    """What logits say for each class [B, C], never negative; in float64: log gamma of much evidence is large, and only differences
    of it count."""
    import torch

    wide_BC = logits_BC.double()
    return wide_BC.clamp(min=0) if how == "relu" else torch.nn.functional.softplus(wide_BC)


def evidential(evidence_BC: Tensor, target_BC: Tensor, annealing: Number) -> Tensor:
    """Per row, the expected cross-entropy bound under Dir(evidence + 1) and the annealed KL of what speaks against the label."""
    alpha_BC = evidence_BC + 1
    fit_B = (target_BC * (alpha_BC.sum(dim=-1, keepdim=True).log() - alpha_BC.log())).sum(dim=-1)
    return fit_B + annealing * kl_from_even(evidence_BC * (1 - target_BC) + 1)


def kl_from_even(alpha_BC: Tensor) -> Tensor:
    """KL(Dir(alpha) || Dir(1, ..., 1)) of each row [B], in nats."""
    import torch

    total_B1 = alpha_BC.sum(dim=-1, keepdim=True)
    volume_B = torch.lgamma(total_B1[..., 0]) - torch.lgamma(alpha_BC).sum(dim=-1) - math.lgamma(alpha_BC.shape[-1])
    return volume_B + ((alpha_BC - 1) * (torch.digamma(alpha_BC) - torch.digamma(total_B1))).sum(dim=-1)
