"""Temperature scaling (Guo et al. 2017): one number that makes probabilities as sure as they are right."""

# N rows, C classes

from __future__ import annotations

import math

import numpy as np

from w2s.labels import softmax
from w2s.metrics.scores import TINY, Floats, Ints, check, log_loss

COLDEST, HOTTEST = 0.01, 100.0


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
