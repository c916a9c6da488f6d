"""Scores of a labeller against truth, and how its choices relate to its supervisor's."""

# N rows, C classes

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

ECE_BINS = 15
TINY = 1e-12  # keeps the log loss of a sure mistake finite
SLACK = 1e-6  # a float32 softmax may exceed 1 by so little


def grade(probs_NC: Floats, truth_N: Ints, supervisor_NC: Floats | None = None) -> dict[str, float | int | None]:
    """Every score of labels against truth, and against the supervisor's labels where there is one.

    A row's choice is its most probable class, the first of equals. None stands for a score these rows do not define.
    Raises ValueError for shapes that do not match, NaN, values that are no probabilities and labels out of range.
    """
    check(probs_NC, truth_N)
    counts_C = np.bincount(truth_N, minlength=probs_NC.shape[1])
    result: dict[str, float | int | None] = {
        "n": len(truth_N),
        "accuracy": accuracy(probs_NC, truth_N),
        "majority": float(counts_C.max() / len(truth_N)),
        "auroc": auroc(probs_NC, truth_N),
        "log_loss": log_loss(probs_NC, truth_N),
        "brier": brier(probs_NC, truth_N),
        "ece": ece(probs_NC, truth_N),
    }
    return result if supervisor_NC is None else {**result, **agreement(probs_NC, supervisor_NC, truth_N)}


def accuracy(probs_NC: Floats, truth_N: Ints) -> float:
    """Share of rows whose most probable class is the truth."""
    check(probs_NC, truth_N)
    return float((probs_NC.argmax(axis=-1) == truth_N).mean())


def auroc(probs_NC: Floats, truth_N: Ints) -> float | None:
    """Area under the ROC curve, ties counted half; for C > 2 the mean of one-vs-rest over the classes that occur.

    None where only one class occurs.
    """
    from sklearn.metrics import roc_auc_score

    check(probs_NC, truth_N)
    classes = [c for c in range(probs_NC.shape[1]) if 0 < (truth_N == c).sum() < len(truth_N)]
    if not classes:
        return None
    chosen = [1] if probs_NC.shape[1] == 2 else classes
    return float(np.mean([roc_auc_score(truth_N == c, probs_NC[:, c]) for c in chosen]))


def log_loss(probs_NC: Floats, truth_N: Ints) -> float:
    """Mean negative log-probability of the truth, in nats; a probability under 1e-12 counts as 1e-12."""
    return float(log_losses(probs_NC, truth_N).mean())


def log_losses(probs_NC: Floats, truth_N: Ints) -> Floats:
    """The same row by row: [N]."""
    check(probs_NC, truth_N)
    losses_N: Floats = -np.log(np.clip(probs_NC[np.arange(len(truth_N)), truth_N], TINY, None))
    return losses_N


def brier(probs_NC: Floats, truth_N: Ints) -> float:
    """Mean squared distance to the one-hot truth, summed over classes: 0 (sure and right) to 2 (sure and wrong)."""
    return float(briers(probs_NC, truth_N).mean())


def briers(probs_NC: Floats, truth_N: Ints) -> Floats:
    """The same row by row: [N]."""
    check(probs_NC, truth_N)
    distances_N: Floats = ((probs_NC - np.eye(probs_NC.shape[1])[truth_N]) ** 2).sum(axis=-1)
    return distances_N


def ece(probs_NC: Floats, truth_N: Ints) -> float:
    """Expected calibration error (Guo et al. 2017): mean distance of accuracy from confidence, bin by bin.

    15 bins of equal width, each with its lower edge, hold rows by the probability of the predicted class; a bin weighs
    as much as it holds rows.
    """
    check(probs_NC, truth_N)
    confidence_N = probs_NC.max(axis=-1)
    correct_N = probs_NC.argmax(axis=-1) == truth_N
    bin_N = np.minimum((confidence_N * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    return float(sum(abs((correct_N - confidence_N)[bin_N == b].sum()) for b in np.unique(bin_N)) / len(truth_N))


def agreement(student_NC: Floats, supervisor_NC: Floats, truth_N: Ints) -> dict[str, float | None]:
    """How the student's choices relate to the supervisor's.

    `agreement` is the share of equal choices, also split by whether the supervisor is right. `right_where_apart` is
    rho, the student's accuracy on the rows where the two differ. In a binary task one of two that differ is right, so
    accuracy(student) - accuracy(supervisor) = (1 - agreement) * (2 * rho - 1) exactly. `misfit` is the mean squared
    distance of the two, half the sum over classes: (f - w)^2 in a binary task (Charikar et al. 2024).
    """
    check(student_NC, truth_N)
    check(supervisor_NC, truth_N)
    if student_NC.shape != supervisor_NC.shape:
        raise ValueError(f"student {student_NC.shape} and supervisor {supervisor_NC.shape} have different shapes")
    same_N = student_NC.argmax(axis=-1) == supervisor_NC.argmax(axis=-1)
    right_N = supervisor_NC.argmax(axis=-1) == truth_N
    return {
        "agreement": float(same_N.mean()),
        "agreement_where_right": _mean(same_N[right_N]),
        "agreement_where_wrong": _mean(same_N[~right_N]),
        "right_where_apart": _mean((student_NC.argmax(axis=-1) == truth_N)[~same_N]),
        "misfit": float(((student_NC - supervisor_NC) ** 2).sum(axis=-1).mean() / 2),
    }


def _mean(flags_N: Flags) -> float | None:
    return float(flags_N.mean()) if len(flags_N) else None


def check(probs_NC: Floats, truth_N: Ints) -> None:
    """Raise ValueError unless these are probabilities of N rows of at least two classes, and a class of each row."""
    if (
        np.ndim(probs_NC) != 2
        or np.shape(probs_NC)[1] < 2
        or np.shape(truth_N) != np.shape(probs_NC)[:1]
        or not len(truth_N)
    ):
        raise ValueError(
            f"probabilities {np.shape(probs_NC)} for labels {np.shape(truth_N)}: need [rows, classes] and [rows]"
        )
    if not np.isfinite(probs_NC).all():
        raise ValueError("probabilities hold NaN or infinity")
    if probs_NC.min() < -SLACK or probs_NC.max() > 1 + SLACK:
        raise ValueError(f"probabilities range from {probs_NC.min():.4g} to {probs_NC.max():.4g}")
    if truth_N.dtype.kind not in "iu" or truth_N.min() < 0 or truth_N.max() >= probs_NC.shape[1]:
        raise ValueError(f"labels must be whole numbers from 0 to {probs_NC.shape[1] - 1}")
