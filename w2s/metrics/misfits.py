"""Misfit: how far a student is from its supervisor, which bounds what it gains where the theory holds.

Charikar et al. 2024 (squared loss) and Mulgund & Pabbaraju 2025 (Bregman divergences): a student that minimises the divergence
to its supervisor over a convex class that holds the truth gains at least its misfit. For cross-entropy that divergence is the
reverse one, KL(student || supervisor). On real data the truth is not in the class and gains are .25 to .75 of it: a signal to
rank by (`selector`), no guarantee. An over-confident supervisor inflates it without bound: see `temperature`.
"""

# N rows, C classes

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from w2s.metrics.scores import Floats, Ints, check

CLIP = 1e-6  # probabilities come no nearer to 0 and 1 in any logarithm here


@dataclass(frozen=True)
class Estimate:
    """A mean over rows and its standard error, sd / sqrt(N); None for one row."""

    mean: float
    se: float | None


def misfit(student_NC: Floats, supervisor_NC: Floats, truth_N: Ints | None = None) -> dict[str, Estimate]:
    """The means of `misfit_terms`, each with its paired standard error: both labellers are asked about the same rows."""
    return {name: _estimate(term_N) for name, term_N in misfit_terms(student_NC, supervisor_NC, truth_N).items()}


def misfit_terms(student_NC: Floats, supervisor_NC: Floats, truth_N: Ints | None = None) -> dict[str, Floats]:
    """What each row [N] adds to each mean. Rows the student did not learn from; logarithms are natural.

    misfit_reverse   KL(student || supervisor): the one that pairs with the theorem
    misfit_forward   KL(supervisor || student): what cross-entropy minimises
    misfit_brier     half the squared distance summed over classes, (f - w)^2 in a binary task: bounded, and most robust
    disagreement     1 where the most probable classes (the first of equals) differ

    and where the truth is known:

    gain_ce          cross-entropy of the supervisor less that of the student
    gain_brier       the same of half the Brier score, (y - w)^2 - (y - f)^2 in a binary task
    slack            gain_ce - misfit_reverse: at least 0 in the mean, says the theorem

    Probabilities are clipped to [1e-6, 1 - 1e-6] (and made to sum to one again) in misfit_reverse, misfit_forward, gain_ce
    and slack. Raises ValueError for shapes that do not match and values that are no probabilities.
    """
    known_N = np.zeros(len(student_NC), dtype=np.int64) if truth_N is None else truth_N
    check(student_NC, known_N)
    check(supervisor_NC, known_N)
    if student_NC.shape != supervisor_NC.shape:
        raise ValueError(f"student {student_NC.shape} and supervisor {supervisor_NC.shape} have different shapes")
    student_NC, supervisor_NC = np.asarray(student_NC, dtype=np.float64), np.asarray(supervisor_NC, dtype=np.float64)
    log_ratio_NC = _log_ratio(student_NC, supervisor_NC)
    reverse_N = reverse_kl(student_NC, supervisor_NC)
    found = {
        "misfit_reverse": reverse_N,
        "misfit_forward": -(_clipped(supervisor_NC) * log_ratio_NC).sum(axis=-1),
        "misfit_brier": ((student_NC - supervisor_NC) ** 2).sum(axis=-1) / 2,
        "disagreement": (student_NC.argmax(axis=-1) != supervisor_NC.argmax(axis=-1)).astype(np.float64),
    }
    if truth_N is None:
        return found
    gain_N = log_ratio_NC[np.arange(len(truth_N)), truth_N]
    truth_NC = np.eye(student_NC.shape[1])[truth_N]
    nearer_NC = (supervisor_NC - truth_NC) ** 2 - (student_NC - truth_NC) ** 2
    return {**found, "gain_ce": gain_N, "gain_brier": nearer_NC.sum(axis=-1) / 2, "slack": gain_N - reverse_N}


def reverse_kl(student_NC: Floats, supervisor_NC: Floats) -> Floats:
    """KL(student || supervisor) of each row [N], in nats, clipped as in `misfit_terms`. Checks nothing: NaN gives NaN."""
    result: Floats = (_clipped(student_NC) * _log_ratio(student_NC, supervisor_NC)).sum(axis=-1)
    return result


def clipped_losses(probs_NC: Floats, truth_N: Ints) -> Floats:
    """Cross-entropy of each row [N], in nats, clipped as in `misfit_terms`: at most 13.8, so that a sure mistake is finite."""
    check(probs_NC, truth_N)
    result: Floats = -np.log(_clipped(np.asarray(probs_NC, dtype=np.float64))[np.arange(len(truth_N)), truth_N])
    return result


def _log_ratio(student_NC: Floats, supervisor_NC: Floats) -> Floats:
    result: Floats = np.log(_clipped(student_NC)) - np.log(_clipped(supervisor_NC))
    return result


def _clipped(probs_NC: Floats) -> Floats:
    inside_NC = np.clip(probs_NC, CLIP, 1 - CLIP)
    result: Floats = inside_NC / inside_NC.sum(axis=-1, keepdims=True)
    return result


def _estimate(term_N: Floats) -> Estimate:
    se = float(term_N.std(ddof=1) / math.sqrt(len(term_N))) if len(term_N) > 1 else None
    return Estimate(math.fsum(term_N) / len(term_N), se)
