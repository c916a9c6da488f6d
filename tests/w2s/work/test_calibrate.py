"""Calibration, held against the papers' formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s.labels import softmax
from w2s.work.calibrate import content_free_bias, prior_bias


def test_content_free_is_division_by_what_is_said_of_nothing() -> None:
    """Zhao et al. 2021: W = diag(mean of the content-free probabilities)^-1, b = 0; then to one again."""
    rng = np.random.default_rng(0)
    probs_NW, blank_JW = rng.dirichlet([1, 2, 3], size=20), rng.dirichlet([5, 1, 1], size=3)
    divided_NW = probs_NW @ np.linalg.inv(np.diag(blank_JW.mean(axis=0)))
    wanted_NW = divided_NW / divided_NW.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(np.log(probs_NW) + content_free_bias(blank_JW)), wanted_NW, atol=1e-12)


def test_what_says_nothing_is_equal_afterwards() -> None:
    blank_JW = np.array([[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(softmax(np.log(blank_JW) + content_free_bias(blank_JW)), [[1 / 3] * 3], atol=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 5), st.floats(0.1, 4))
def test_the_mean_becomes_the_prior(seed: int, words: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    log_probs_NW = rng.normal(scale=spread, size=(50, words)) + rng.normal(scale=3, size=words)
    prior_W = rng.dirichlet(np.full(words, 5.0))
    mean_W = softmax(log_probs_NW + prior_bias(log_probs_NW, prior_W)).mean(axis=0)
    np.testing.assert_allclose(mean_W, prior_W, atol=1e-9)


def test_a_bias_orders_rows_as_they_were() -> None:
    log_probs_NW = np.log(np.random.default_rng(1).dirichlet([1, 1], size=30))
    moved_NW = softmax(log_probs_NW + prior_bias(log_probs_NW, np.array([0.2, 0.8])))
    assert (np.argsort(moved_NW[:, 1]) == np.argsort(log_probs_NW[:, 1] - log_probs_NW[:, 0])).all()


@pytest.mark.parametrize("prior", [[0.0, 1.0], [1.0, 0.0]])
def test_impossible_priors_stay_numbers(prior: list[float]) -> None:
    log_probs_NW = np.log(np.array([[1 - 1e-15, 1e-15], [0.5, 0.5]]))
    assert np.isfinite(prior_bias(log_probs_NW, np.array(prior))).all()
    assert np.isfinite(content_free_bias(np.array([[0.0, 1.0]]))).all()
