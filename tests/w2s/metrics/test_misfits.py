"""Misfit and gain: against formulas written out, the identities they obey, and the theorem where it must hold with equality."""

# N rows, C classes, D features

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from w2s.labels import softmax
from w2s.metrics import accuracy, agreement, brier, log_loss, misfit, misfit_terms

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, rows: int = 50, classes: int = 2, scale: float = 2.0) -> tuple[Any, Any, Any]:
    """Student's and supervisor's probabilities [N, C], and the truth [N]."""
    generator = np.random.default_rng(seed)
    logits = (scale * generator.normal(size=(rows, classes)) for _ in range(2))
    student, supervisor = (
        softmax(each.clip(-3 * scale, 3 * scale)) for each in logits
    )  # none so small that it is clipped
    return student, supervisor, generator.integers(0, classes, rows)


def binary(*second: float) -> Any:
    return np.array([[1 - p, p] for p in second])


def test_binary_terms_are_those_of_the_formulas_written_out() -> None:
    """f student, w supervisor, both P(y = 1), as the notes on the estimator have them."""
    student, supervisor, truth = drawn(0, rows=7)
    found = misfit(student, supervisor, truth)
    terms: dict[str, list[float]] = {name: [] for name in found}
    for f, w, y in zip(student[:, 1], supervisor[:, 1], truth, strict=True):
        reverse = f * math.log(f / w) + (1 - f) * math.log((1 - f) / (1 - w))
        gain = -math.log(w if y else 1 - w) + math.log(f if y else 1 - f)
        terms["misfit_reverse"].append(reverse)
        terms["misfit_forward"].append(w * math.log(w / f) + (1 - w) * math.log((1 - w) / (1 - f)))
        terms["misfit_brier"].append((f - w) ** 2)
        terms["disagreement"].append(float((f > 0.5) != (w > 0.5)))
        terms["gain_ce"].append(gain)
        terms["gain_brier"].append((y - w) ** 2 - (y - f) ** 2)
        terms["slack"].append(gain - reverse)
    for name, values in terms.items():
        mean = sum(values) / 7
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / 6)
        assert found[name].mean == pytest.approx(mean, rel=1e-5, abs=1e-9), name
        assert found[name].se == pytest.approx(spread / math.sqrt(7), rel=1e-5), name


@settings(max_examples=50)
@given(SEEDS, st.integers(2, 5))
def test_gains_are_the_differences_of_the_scores(seed: int, classes: int) -> None:
    student, supervisor, truth = drawn(seed, classes=classes)
    found = misfit(student, supervisor, truth)
    assert found["gain_ce"].mean == pytest.approx(log_loss(supervisor, truth) - log_loss(student, truth), abs=1e-4)
    assert found["gain_brier"].mean == pytest.approx((brier(supervisor, truth) - brier(student, truth)) / 2)
    assert found["slack"].mean == pytest.approx(found["gain_ce"].mean - found["misfit_reverse"].mean)
    known = agreement(student, supervisor, truth)
    assert found["misfit_brier"].mean == pytest.approx(known["misfit"])
    assert found["disagreement"].mean == pytest.approx(1 - (known["agreement"] or 0.0))


@settings(max_examples=200)
@given(SEEDS, st.integers(1, 40))
def test_a_binary_gain_in_accuracy_is_disagreement_times_two_rho_less_one(seed: int, rows: int) -> None:
    """acc_s - acc_w = disagree * (2 rho - 1): exact, whatever the labellers, up to the last bit of a division."""
    student, supervisor, truth = drawn(seed, rows)
    known = agreement(student, supervisor, truth)
    gain = accuracy(student, truth) - accuracy(supervisor, truth)
    apart = misfit(student, supervisor)["disagreement"].mean
    if known["right_where_apart"] is None:
        assert (apart, gain) == (0, 0)
    else:
        assert gain == pytest.approx(apart * (2 * known["right_where_apart"] - 1), abs=1e-14)


def test_with_three_classes_the_identity_fails() -> None:
    """Both may be wrong where they differ: the identity is not to be used there."""
    student, supervisor = np.eye(3)[[1]], np.eye(3)[[2]]
    known = agreement(student, supervisor, np.array([0]))
    assert known["right_where_apart"] == 0.0
    assert accuracy(student, np.array([0])) - accuracy(supervisor, np.array([0])) != -1


@settings(max_examples=50)
@given(SEEDS, st.integers(2, 4))
def test_misfit_is_nothing_only_for_the_supervisor_itself(seed: int, classes: int) -> None:
    student, supervisor, truth = drawn(seed, classes=classes)
    assert {name: value.mean for name, value in misfit(student, student, truth).items()} == dict.fromkeys(
        misfit(student, student, truth), 0.0
    )
    apart = misfit(student, supervisor)
    assert min(apart["misfit_reverse"].mean, apart["misfit_forward"].mean, apart["misfit_brier"].mean) > 0
    assert (misfit_terms(student, supervisor)["misfit_reverse"] >= -1e-15).all()


@settings(max_examples=30)
@given(SEEDS)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    student, supervisor, truth = drawn(seed)
    order = np.random.default_rng(seed).permutation(len(truth))
    there, back = misfit(student, supervisor, truth), misfit(student[order], supervisor[order], truth[order])
    for name, value in there.items():
        assert value.mean == back[name].mean, name  # sums are exact
        assert value.se == pytest.approx(back[name].se, rel=1e-12), name


def test_reverse_divergence_saturates_with_a_supervisor_that_is_too_sure() -> None:
    """KL(student || supervisor) grows with every nought of 1 - w and is held only by the clip; the Brier misfit is bounded."""
    found = [misfit(binary(0.5), binary(1 - 10.0**-k)) for k in (1, 2, 4, 6)]
    reverse = [one["misfit_reverse"].mean for one in found]
    assert reverse == sorted(reverse)
    assert reverse[3] > 4 * reverse[0]
    sure, surer = misfit(binary(0.5), binary(1 - 1e-6)), misfit(binary(0.5), binary(1.0))
    assert surer["misfit_reverse"].mean == pytest.approx(sure["misfit_reverse"].mean)
    assert surer["misfit_reverse"].mean == pytest.approx(-math.log(2) - 0.5 * math.log(1e-6 * (1 - 1e-6)))
    assert surer["misfit_brier"].mean == 0.25
    assert surer["misfit_forward"].mean == pytest.approx(math.log(2), abs=1e-4)


def test_projection_onto_an_affine_class_gains_exactly_its_misfit() -> None:
    """The theorem's equality: least squares onto a span that holds the truth leaves a residual at a right angle to it."""
    generator = np.random.default_rng(1)
    features_ND = generator.normal(size=(500, 6))
    truth_N = 0.5 + 0.02 * features_ND @ generator.normal(size=6)
    weak_N = np.clip(truth_N + 0.1 * generator.normal(size=500), 0, 1)
    design_ND = np.column_stack([np.ones(500), features_ND])
    student_N = design_ND @ np.linalg.lstsq(design_ND, weak_N, rcond=None)[0]
    # with the truth as a probability, the gain is that of squared distances to it; the constant label noise cancels
    gain = float(((weak_N - truth_N) ** 2 - (student_N - truth_N) ** 2).mean())
    found = misfit(binary(*student_N), binary(*weak_N))["misfit_brier"].mean
    assert gain == pytest.approx(found, rel=1e-9)
    assert found > 0.005
    # a ray is convex but not affine: there the gain is greater, and never less
    slope = max(0.0, float((weak_N - 0.8) @ (truth_N - 0.8) / ((truth_N - 0.8) @ (truth_N - 0.8))))
    ray_N = 0.8 + min(slope, 1.0) * (truth_N - 0.8)
    gained = float(((weak_N - truth_N) ** 2 - (ray_N - truth_N) ** 2).mean())
    assert gained >= float(((ray_N - weak_N) ** 2).mean())


def test_reverse_projection_onto_mixtures_gains_at_least_its_misfit() -> None:
    """The theorem for cross-entropy: a class convex in probabilities that holds the truth, the student its reverse projection.

    The truth is the class's own distribution, taken in expectation: no label noise, so slack has no error but the optimiser's.
    """
    generator = np.random.default_rng(2)
    experts_KN = generator.uniform(0.1, 0.9, size=(4, 300))
    true_N = np.array([0.4, 0.3, 0.2, 0.1]) @ experts_KN
    weak_N = np.clip(true_N + generator.normal(0, 0.15, 300), 0.05, 0.95)

    def reverse(mix_K: Any) -> float:
        return misfit(binary(*(mix_K @ experts_KN)), binary(*weak_N))["misfit_reverse"].mean

    found = minimize(
        reverse, np.full(4, 0.25), bounds=[(0, 1)] * 4, constraints={"type": "eq", "fun": lambda mix_K: mix_K.sum() - 1}
    )
    student = binary(*(found.x @ experts_KN))
    expected = {  # a row of each label, weighed by its probability: the truth in expectation
        label: misfit_terms(student, binary(*weak_N), np.full(300, label))["gain_ce"] for label in (0, 1)
    }
    gain = float((true_N * expected[1] + (1 - true_N) * expected[0]).mean())
    assert found.fun > 0.01
    assert gain >= found.fun - 1e-6


def test_one_row_has_no_standard_error() -> None:
    assert misfit(binary(0.3), binary(0.6))["misfit_brier"].se is None


def test_without_truth_there_is_no_gain() -> None:
    assert set(misfit(binary(0.3, 0.2), binary(0.6, 0.1))) == {
        "misfit_reverse",
        "misfit_forward",
        "misfit_brier",
        "disagreement",
    }


@pytest.mark.parametrize(
    "student, supervisor",
    [
        (binary(0.2, 0.3), binary(0.2)),
        (binary(0.2), np.full((1, 3), 1 / 3)),
        (binary(np.nan), binary(0.2)),
        (binary(0.2), binary(1.5)),
    ],
)
def test_what_cannot_be_compared_is_refused(student: Any, supervisor: Any) -> None:
    with pytest.raises(ValueError):
        misfit(student, supervisor)
