"""Which weak model to learn from, without the truth of the student's rows (Charikar et al. 2024, section 5)."""

# J weak models, each with a student; N rows, C classes

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from w2s.metrics.misfits import clipped_losses, reverse_kl
from w2s.metrics.scores import Floats, Ints
from w2s.metrics.temperature import cross_fitted


def held_out_terms(
    ids: Sequence[str], weak_NC: Floats, student_NC: Floats, truth_N: Ints, *, calibrate: bool = True
) -> tuple[Floats, Floats]:
    """What each held-out row [N] adds to a weak model's cross-entropy, and to its student's reverse misfit beside it.

    The weak model knew the truth of rows like these and learned from none of them; the student is not held against it. With
    `calibrate` the weak probabilities are at a temperature fitted on the other folds' rows. Raises ValueError as `grade` does.
    """
    beside_NC = cross_fitted(ids, weak_NC, truth_N) if calibrate else np.asarray(weak_NC, dtype=np.float64)
    return clipped_losses(beside_NC, truth_N), reverse_kl(np.asarray(student_NC, dtype=np.float64), beside_NC)


def predicted_losses(weak_ce_J: Sequence[float], misfit_reverse_J: Sequence[float], c: float = 1.0) -> Floats:
    """What each student's cross-entropy should be: its weak model's, less c times its reverse misfit [J].

    `weak_ce_J` is measured on labelled rows that the weak model did not learn from, its probabilities calibrated. c is 1 in
    theory, and .25 to .75 on real data: `fit_slope`. Misfit alone tells nothing: a hopeless weak model has much of it.
    Raises ValueError for unequal or no numbers.
    """
    weak_J, misfit_J = _pairs(weak_ce_J, misfit_reverse_J)
    result: Floats = weak_J - c * misfit_J
    return result


def choose(weak_ce_J: Sequence[float], misfit_reverse_J: Sequence[float], c: float = 1.0) -> int:
    """The place of the weak model whose student should be best; the first of equals."""
    return int(predicted_losses(weak_ce_J, misfit_reverse_J, c).argmin())


def fit_slope(gain_ce_J: Sequence[float], misfit_reverse_J: Sequence[float]) -> float:
    """c by least squares, gain = c * misfit, over a few pairs of weak and strong where the truth is known.

    Through the origin: a student that is its supervisor gains nothing. Raises ValueError where no pair has any misfit.
    """
    gain_J, misfit_J = _pairs(gain_ce_J, misfit_reverse_J)
    if not misfit_J.any():
        raise ValueError("no pair has any misfit: there is no slope to fit")
    return float(gain_J @ misfit_J / (misfit_J @ misfit_J))


def _pairs(first_J: Sequence[float], second_J: Sequence[float]) -> tuple[Floats, Floats]:
    first, second = np.asarray(first_J, dtype=np.float64), np.asarray(second_J, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"need as many losses as misfits, and at least one; found {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("losses and misfits must be finite")
    return first, second
