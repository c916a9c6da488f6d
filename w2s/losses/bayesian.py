"""Evidential loss over a crowd: Bayesian WeakS-to-Strong (Cui et al. 2024, arXiv 2406.03199).

    L = (1 - alpha) sum_k lambda_k EDL(z, argmax p_k) + alpha EDL(z, own argmax)

EDL is the loss of that name, of logits z as evidence; p_k is what supervisor k says. `alpha` is 0.5 and every lambda 1 as
published, so that the crowd's part grows with the crowd; `teachers: mean` divides it by the sum of the lambdas. `labels:
soft` takes p_k as it is, as the released code for text does. A crowd of one is `edl`.
"""

# B rows, M supervisors, C classes

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from cluster.errors import BadInput
from w2s.loss import LossConfig, Statistics, at_least_float32, one_hot, ramp
from w2s.losses.edl import Evidence, evidence, evidential

if TYPE_CHECKING:
    from torch import Tensor

CROWD = True


class Config(LossConfig):
    kind: Literal["bayesian"] = "bayesian"
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the student's own guess; 0 for the crowd alone")
    weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="lambda, one a supervisor; none: 1 for each"
    )
    teachers: Literal["sum", "mean"] = Field("sum", description="sum: as published; mean: the same scale for any crowd")
    anneal: float = Field(
        1.0, ge=0, le=1, description="share of training over which the KL part grows from 0; 0: at once"
    )
    labels: Literal["hard", "soft"] = Field("hard", description="hard: a label's most likely class counts as certain")
    evidence: Evidence = Field("relu", description="how logits become evidence; relu is the published")


def label_statistics(config: Config, target_MC: Tensor) -> Statistics:
    """Nothing: only looks whether there is a weight for every supervisor. Raises BadInput where there is not."""
    count = 1 if target_MC.dim() == 2 else target_MC.shape[1]
    if config.weights and len(config.weights) != count:
        what = f"{len(config.weights)} weights for {count} supervisors"
        raise BadInput("loss bayesian", what, "give one a supervisor, or none")
    return {}


def loss(
    config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None
) -> Tensor:
    """Per-row losses [B], in nats.

    The released port multiplies each supervisor's term by its soft label and sums over classes: as the term is one number and
    the label sums to 1, that changes nothing, and is left out.
    """
    import torch

    logits_BC = at_least_float32(logits_BC)
    target_BMC = (target_BC[:, None] if target_BC.dim() == 2 else target_BC).double()
    evidence_BC = evidence(logits_BC, config.evidence)
    annealing = ramp(progress, config.anneal)
    label_BMC = one_hot(target_BMC) if config.labels == "hard" else target_BMC
    count = target_BMC.shape[1]
    costs = [evidential(evidence_BC, label_BMC[:, member], annealing) for member in range(count)]
    # numbers of a config may be 0-dim tensors: stacked, not made a tensor anew
    weights = config.weights or (1.0,) * count
    crowd_B = torch.stack([weight * cost_B for weight, cost_B in zip(weights, costs, strict=True)]).sum(dim=0)
    if config.teachers == "mean":
        crowd_B = crowd_B / sum(weights)
    own_B = evidential(evidence_BC, one_hot(logits_BC.double()), annealing)
    return ((1 - config.alpha) * crowd_B + config.alpha * own_B).to(logits_BC.dtype)
