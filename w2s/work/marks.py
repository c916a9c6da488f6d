"""What a model is told of itself on held-out rows while it trains: the same marks for a finetuned model and for a head."""

# N rows, C classes

from __future__ import annotations

from torch import Tensor

from w2s.metrics.misfits import reverse_kl


def marks(logits_NC: Tensor, target_NC: Tensor, truth_N: Tensor) -> dict[str, float]:
    """Means over rows, in float64.

    agreement    share of rows whose most probable class is that of the labels it learns from
    accuracy     the same against ground truth (for curves, never for selection unless `oracle`; see `curve_name`)
    loss         cross-entropy to those labels, in nats
    confidence   the largest probability
    misfit       KL(student || labels), in nats, probabilities kept within [1e-6, 1 - 1e-6]: see `w2s.metrics.misfits`
    """
    logits_NC, target_NC = logits_NC.double(), target_NC.double()
    probs_NC, choice_N = logits_NC.softmax(dim=-1), logits_NC.argmax(dim=-1)
    return {
        "agreement": (choice_N == target_NC.argmax(dim=-1)).double().mean().item(),
        "accuracy": (choice_N == truth_N).double().mean().item(),
        "loss": -(target_NC * logits_NC.log_softmax(dim=-1)).sum(dim=-1).mean().item(),
        "confidence": probs_NC.amax(dim=-1).mean().item(),
        "misfit": float(reverse_kl(probs_NC.numpy(), target_NC.numpy()).mean()),
    }


def curve_name(mark: str, *, from_truth: bool, select: str) -> str:
    """The curve a mark is told as: `oracle/...` where a student that learns from labels is held against ground truth.

    That is its accuracy; with `select: oracle` its held-out labels are the truth, and every mark is. A model that learns from
    the truth (`from_truth`) knows it anyway.
    """
    looks = not from_truth and (mark == "accuracy" or (select == "oracle" and mark != "confidence"))
    return f"oracle/{mark}" if looks else f"eval/{mark}"
