"""Reverse KL: students of a binary task whose true probabilities are known, on inputs that are the whole population.

D(a, b) = KL(a || b), the first argument the student: with f_sw = argmin of E KL(f || f_w) over a class that is convex in probability
space and holds f*, E KL(f* || f_w) >= E KL(f* || f_sw) + E KL(f_sw || f_w) (Mulgund & Pabbaraju 2025). Mixtures of fixed heads are such
a class. Logistic heads are not; a student fitted by cross-entropy minimises KL(f_w || f), which no theorem covers.
"""

# N inputs, K features and heads

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from w2s.bench_theory.misfit.config import Entropy
from w2s.bench_theory.misfit.outcomes import Outcome
from w2s.metrics import Floats

MIXTURE, LOGISTIC, FORWARD = "mixture, reverse KL", "logistic, reverse KL", "logistic, cross-entropy"
WEAK_L2 = 0.1  # times the squared weights, summed over the sampled labels: keeps the weak model unsaturated
PULL = 1e-12  # of an optimizer: what it calls converged

Loss = Callable[[Floats], "tuple[float, Floats]"]


def outcomes(settings: Entropy, seed: int) -> dict[str, list[Outcome]]:
    """Tasks of the three families; all have the same weak function where they have the same truth."""
    generator = np.random.default_rng([seed, 11])
    found: dict[str, list[Outcome]] = {MIXTURE: [], LOGISTIC: [], FORWARD: []}
    for _ in range(settings.tasks):
        x_NK = generator.standard_normal((settings.n, settings.width))
        heads_KK = generator.standard_normal((settings.width, settings.width)) * 2 / np.sqrt(settings.width)
        heads_NK = sigmoid(x_NK @ heads_KK)
        truth_N = heads_NK @ generator.dirichlet(np.ones(settings.width))
        weak_N = weak_function(x_NK, truth_N, settings, generator)
        found[MIXTURE].append(divergences(truth_N, weak_N, nearest_mixture(heads_NK, weak_N)))
        truth_N = sigmoid(x_NK @ generator.standard_normal(settings.width) * 2 / np.sqrt(settings.width))
        weak_N = weak_function(x_NK, truth_N, settings, generator)
        cross = nearest_logistic(x_NK, weak_N, forward=True)
        found[FORWARD].append(divergences(truth_N, weak_N, sigmoid(x_NK @ cross)))
        reverse = nearest_logistic(x_NK, weak_N, forward=False, start_K=cross)
        found[LOGISTIC].append(divergences(truth_N, weak_N, sigmoid(x_NK @ reverse)))
    return found


def weak_function(x_NK: Floats, truth_N: Floats, settings: Entropy, generator: np.random.Generator) -> Floats:
    """Logistic regression on a few random nonlinear features, fitted to labels sampled for the first of the inputs."""
    directions = generator.standard_normal((x_NK.shape[1], settings.weak_features))
    h_NF = np.c_[np.tanh(x_NK @ directions), np.ones(len(x_NK))]
    count = min(settings.n_weak, len(x_NK))
    y_n = (generator.random(count) < truth_N[:count]).astype(np.float64)

    def loss(weights_F: Floats) -> tuple[float, Floats]:
        logits_n = h_NF[:count] @ weights_F
        value = np.logaddexp(0, logits_n).sum() - y_n @ logits_n + WEAK_L2 * (weights_F @ weights_F)
        return float(value) / count, (h_NF[:count].T @ (sigmoid(logits_n) - y_n) + 2 * WEAK_L2 * weights_F) / count

    return sigmoid(h_NF @ _lowest(loss, np.zeros(h_NF.shape[1])))


def nearest_logistic(x_NK: Floats, weak_N: Floats, *, forward: bool, start_K: Floats | None = None) -> Floats:
    """Weights of the logistic function f nearest to the weak one: KL(f_w || f) if `forward`, else KL(f || f_w)."""
    target_N = logit(weak_N)

    def loss(weights_K: Floats) -> tuple[float, Floats]:
        logits_N = x_NK @ weights_K
        f_N = sigmoid(logits_N)
        if forward:
            return float(np.mean(np.logaddexp(0, logits_N) - weak_N * logits_N)), x_NK.T @ (f_N - weak_N) / len(f_N)
        # d/dz of f log(f/w) + (1-f) log((1-f)/(1-w)) is f (1-f) (logit f - logit w)
        return float(np.mean(kl(f_N, weak_N))), x_NK.T @ (f_N * (1 - f_N) * (logits_N - target_N)) / len(f_N)

    return _lowest(loss, np.zeros(x_NK.shape[1]) if start_K is None else start_K)


def nearest_mixture(heads_NK: Floats, weak_N: Floats) -> Floats:
    """The mixture f of the heads of least E KL(f || f_w): a convex problem over the simplex."""
    from scipy.optimize import minimize

    size = heads_NK.shape[1]

    def loss(weights_K: Floats) -> tuple[float, Floats]:
        f_N = np.clip(heads_NK @ weights_K, PULL, 1 - PULL)
        return float(np.mean(kl(f_N, weak_N))), heads_NK.T @ (logit(f_N) - logit(weak_N)) / len(f_N)

    found = minimize(
        loss, np.full(size, 1 / size), jac=True, method="SLSQP", bounds=[(0, 1)] * size,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 500},
    )  # fmt: skip
    weights_K = np.maximum(found.x, 0)
    result: Floats = heads_NK @ (weights_K / weights_K.sum())
    return result


def divergences(truth_N: Floats, weak_N: Floats, student_N: Floats) -> Outcome:
    """Mean KL, in nats: the differences of `weak` and `student` are those of expected cross-entropies."""
    return Outcome(
        float(kl(truth_N, weak_N).mean()), float(kl(truth_N, student_N).mean()), float(kl(student_N, weak_N).mean())
    )


def kl(a_N: Floats, b_N: Floats) -> Floats:
    """KL(a || b) of each pair of probabilities of a binary label."""
    result: Floats = a_N * (np.log(a_N) - np.log(b_N)) + (1 - a_N) * (np.log1p(-a_N) - np.log1p(-b_N))
    return result


def logit(p_N: Floats) -> Floats:
    result: Floats = np.log(p_N) - np.log1p(-p_N)
    return result


def sigmoid(z_N: Floats) -> Floats:
    result: Floats = 0.5 * (1 + np.tanh(0.5 * z_N))  # exact and without overflow
    return result


def _lowest(loss: Loss, start_K: Floats) -> Floats:
    from scipy.optimize import minimize

    found = minimize(loss, start_K, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 1000})
    result: Floats = found.x
    return result
