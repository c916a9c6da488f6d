"""Label words' probabilities put right: a language model prefers some words whatever it is asked (Zhao et al. 2021)."""

# N rows, J texts that say nothing, W words

from __future__ import annotations

import numpy as np

from w2s.labels import Floats, softmax

ENOUGH, MOST = 1e-10, 10_000  # of the mean's distance from the prior; rounds
TINY = 1e-12  # a word that is never said is not believed without bound when it is


def content_free_bias(probs_JW: Floats) -> Floats:
    """[W] to add to log-probabilities: minus the log of what the model says where nothing was asked.

    Contextual calibration (Zhao et al. 2021, section 5): the mean probability over content-free inputs, by which every
    probability is divided before they are made to sum to one again.
    """
    mean_W: Floats = probs_JW.mean(axis=0)
    bias_W: Floats = -np.log(np.clip(mean_W, TINY, None))
    return bias_W


def prior_bias(log_probs_NW: Floats, prior_W: Floats) -> Floats:
    """[W] to add to log-probabilities so that the mean probability over these rows is the prior: up to a constant the only one.

    Each round moves the log mean to the log prior; the distance shrinks every time. A word that the prior gives nothing is
    given almost nothing.
    """
    prior_W = np.clip(prior_W, TINY, None)
    prior_W = prior_W / prior_W.sum()
    bias_W: Floats = np.zeros(len(prior_W))
    for _ in range(MOST):
        mean_W = softmax(log_probs_NW + bias_W).mean(axis=0)
        if np.abs(mean_W - prior_W).max() < ENOUGH:
            break
        bias_W = bias_W + np.log(prior_W) - np.log(np.clip(mean_W, TINY, None))
    return bias_W
