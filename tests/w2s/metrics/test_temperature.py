"""Temperature scaling: the temperature that was put in comes out, and nothing else changes."""

# N rows, C classes

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s.labels import softmax
from w2s.metrics import at_temperature, ece, fit_temperature, log_loss, misfit


def calibrated(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, C] and labels [N] drawn from them."""
    generator = np.random.default_rng(seed)
    probs_NC = softmax(1.5 * generator.normal(size=(rows, classes)))
    return probs_NC, (generator.random(rows)[:, None] > probs_NC.cumsum(axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("made", [0.25, 1.0, 4.0])
def test_the_temperature_put_in_comes_out(classes: int, made: float) -> None:
    probs, truth = calibrated(0, 20_000, classes)
    spoilt = at_temperature(probs, 1 / made)  # made > 1: too sure
    found = fit_temperature(spoilt, truth)
    assert found == pytest.approx(made, rel=0.05)
    assert ece(at_temperature(spoilt, found), truth) < 0.02
    inside_N = spoilt.min(axis=1) > 1e-12  # what is less counts as so much
    assert inside_N.mean() > 0.98
    np.testing.assert_allclose(at_temperature(spoilt, made)[inside_N], probs[inside_N], atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_no_other_temperature_is_better_and_no_choice_changes(seed: int, classes: int) -> None:
    probs, truth = calibrated(seed, 60, classes)
    truth = np.where(np.random.default_rng(seed).random(60) < 0.2, 0, truth)
    best = fit_temperature(probs, truth)
    loss = log_loss(at_temperature(probs, best), truth)
    for other in np.geomspace(0.01, 100, 200):
        assert loss <= log_loss(at_temperature(probs, other), truth) + 1e-9
    assert (at_temperature(probs, best).argmax(axis=1) == probs.argmax(axis=1)).all()


def test_one_that_is_never_wrong_and_one_that_knows_nothing_reach_the_ends() -> None:
    right = np.array([[0.4, 0.6], [0.7, 0.3]])
    assert fit_temperature(right, np.array([1, 0])) == 0.01
    assert fit_temperature(right, np.array([0, 1])) == 100.0


def test_calibration_takes_the_excess_out_of_the_misfit() -> None:
    """A supervisor that is too sure inflates KL(student || supervisor); put right, it is what it was."""
    weak, truth = calibrated(3, 5_000, 2)
    student = at_temperature(weak, 1.3)
    before = misfit(student, weak)["misfit_reverse"].mean
    spoilt = at_temperature(weak, 0.2)
    assert misfit(student, spoilt)["misfit_reverse"].mean > 10 * before
    mended = at_temperature(spoilt, fit_temperature(spoilt, truth))
    assert misfit(student, mended)["misfit_reverse"].mean == pytest.approx(before, rel=0.3)


def test_certain_labels_become_as_sure_as_they_are_right() -> None:
    """One-hot labels, four of five right: calibrated, each is .8 sure."""
    truth = np.arange(100) % 2
    labels = np.eye(2)[np.where(np.arange(100) % 5 == 0, 1 - truth, truth)]
    assert at_temperature(labels, fit_temperature(labels, truth)).max(axis=1) == pytest.approx(0.8, abs=1e-4)


def test_odd_temperatures_and_probabilities_are_refused() -> None:
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            at_temperature(np.array([[0.5, 0.5]]), temperature)
    with pytest.raises(ValueError, match="range"):
        fit_temperature(np.array([[0.5, 1.5]]), np.array([0]))
