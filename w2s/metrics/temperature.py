"""Temperature scaling (Guo et al. 2017): one number that makes probabilities as sure as they are right."""

# N rows, C classes

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from w2s.examples import hash_unit
from w2s.labels import softmax
from w2s.metrics.scores import TINY, Floats, Ints, check, log_loss

COLDEST, HOTTEST = 0.01, 100.0
FOLDS = 5


def fit_temperature(probs_NC: Floats, truth_N: Ints) -> float:
    """The temperature at which these rows' log loss is least, between 0.01 and 100: above 1 for the over-confident.

    Rows the labeller did not learn from. Where it is never wrong there is no least, and 0.01 is returned. The log loss is
    convex in 1/T, so that one minimum is the only one. Raises ValueError as `grade` does.
    """
    from scipy.optimize import minimize_scalar

    check(probs_NC, truth_N)
    found = minimize_scalar(
        lambda log_t: log_loss(at_temperature(probs_NC, math.exp(log_t)), truth_N),
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    ends = [COLDEST, float(np.exp(found.x)), HOTTEST]  # a bounded search comes near its bounds and never reaches them
    return min(ends, key=lambda t: log_loss(at_temperature(probs_NC, t), truth_N))


def at_temperature(probs_NC: Floats, temperature: float) -> Floats:
    """The probabilities [N, C] whose logits are divided by the temperature; no row's choice changes.

    A probability under 1e-12 counts as 1e-12, so that a certain label is finitely sure.

    Raises ValueError unless the temperature is above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} must be above 0")
    return softmax(np.log(np.clip(np.asarray(probs_NC, dtype=np.float64), TINY, None)) / temperature)


def cross_fitted(ids: Sequence[str], probs_NC: Floats, truth_N: Ints) -> Floats:
    """The probabilities [N, C], each row's at the temperature that fits the other folds' rows: no row speaks for itself.

    Five folds by hash of id, so that the order of rows has no say. Where all rows fall into one fold, nothing is known of any.
    Raises ValueError as `grade` does.
    """
    check(probs_NC, truth_N)
    fold_N = np.array([int(hash_unit("temperature", row_id) * FOLDS) for row_id in ids])
    found_NC = np.array(probs_NC, dtype=np.float64)
    for fold in np.unique(fold_N):
        own_N, others_N = fold_N == fold, fold_N != fold
        temperature = fit_temperature(probs_NC[others_N], truth_N[others_N]) if others_N.any() else 1.0
        found_NC[own_N] = at_temperature(probs_NC[own_N], temperature)
    return found_NC
