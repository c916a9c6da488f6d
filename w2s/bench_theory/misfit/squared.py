"""Squared loss: a student that is a projection (Charikar et al. 2024, theorem 1), on inputs that are the whole population.

Onto a linear class that holds the truth the residual is orthogonal to the class: gain = misfit, Pythagoras. Onto a convex class the
angle at the student is obtuse at worst: gain >= misfit.
"""

# N inputs, K features

from __future__ import annotations

import numpy as np

from w2s.bench_theory.misfit.config import Squared
from w2s.bench_theory.misfit.outcomes import Outcome
from w2s.metrics import Floats

LINEAR, CONE = "linear class", "convex cone"


def outcomes(settings: Squared, seed: int) -> dict[str, list[Outcome]]:
    """Tasks of both classes: the span of the features, and their combinations with weights that are nowhere negative."""
    generator = np.random.default_rng([seed, 10])
    found: dict[str, list[Outcome]] = {LINEAR: [], CONE: []}
    for _ in range(settings.tasks):
        x_NK = generator.standard_normal((settings.n, settings.width))
        weights_K = generator.standard_normal(settings.width)
        # some weights of the truth lie on the cone's border, where projections onto it and onto the span differ
        within_K = np.maximum(weights_K, 0)
        error_N = _weak_error(x_NK, settings.weak_error, generator)
        for name, truth_N, project in ((LINEAR, x_NK @ weights_K, onto_span), (CONE, x_NK @ within_K, onto_cone)):
            weak_N = truth_N + error_N
            found[name].append(distances(truth_N, weak_N, project(x_NK, weak_N)))
    return found


def _weak_error(x_NK: Floats, size: float, generator: np.random.Generator) -> Floats:
    """What the weak function has wrong: partly what the student's features can say too (and so inherits), partly not."""
    inside_N = x_NK @ generator.standard_normal(x_NK.shape[1]) / np.sqrt(x_NK.shape[1])
    outside_N = np.tanh(2 * x_NK[:, 0]) * generator.standard_normal(len(x_NK))
    result: Floats = size * (0.5 * inside_N + outside_N)
    return result


def onto_span(x_NK: Floats, f_N: Floats) -> Floats:
    """The nearest function in the span of the features."""
    q_NK = np.linalg.qr(x_NK)[0]
    result: Floats = q_NK @ (q_NK.T @ f_N)
    return result


def onto_cone(x_NK: Floats, f_N: Floats) -> Floats:
    """The nearest combination of the features whose weights are nowhere negative."""
    from scipy.optimize import nnls

    weights_K, _ = nnls(x_NK, f_N)
    chosen_K = weights_K > 0
    # its active set is right, its weights are as good as its normal equations: solved once more on that set
    result: Floats = onto_span(x_NK[:, chosen_K], f_N) if chosen_K.any() else np.zeros_like(f_N)
    return result


def distances(truth_N: Floats, weak_N: Floats, student_N: Floats) -> Outcome:
    """Mean squared distances."""

    def between(a_N: Floats, b_N: Floats) -> float:
        return float(np.mean((a_N - b_N) ** 2))

    return Outcome(between(weak_N, truth_N), between(student_N, truth_N), between(student_N, weak_N))
