"""RAVEN's weights on a toy: a linear student in 20 dimensions, three supervisors whose errors have a structure.

Supervisor k is right about the first feature plus so much of one of its own: .92, .61 and .75 of the rows. What is checked is the
sign of each effect that was found with such a toy (mini-batches there, all rows at once here), not its size.
"""

# N rows, D features, M supervisors, C classes

from __future__ import annotations

import numpy as np
import pytest
import torch

from w2s.loss import LossConfig
from w2s.losses.raven import Config as Raven
from w2s.losses.xent import Config as Xent
from w2s.metrics import Floats, at_temperature, fit_temperature
from w2s.work.fit_heads import Plan, Trained, fit
from w2s.work.heads import Lesson

D, N, HELD_OUT = 20, 1200, 400
TILTS = (0.25, 2.5, 1.0)
NOW = {"easy": 0.0, "freeze": 0.0}
X_ND = np.random.default_rng(0).normal(size=(2 * N, D))
TRUTH_N = (X_ND[:, 0] > 0).astype(np.int64)


def crowd(sure: tuple[float, float, float], own: tuple[int, int, int] = (1, 2, 3)) -> list[Floats]:
    """Labels [2N, C] of each, which is as `sure` of every row; `own`: the feature that leads it astray."""
    eye = np.eye(2)
    chosen = [
        (X_ND[:, 0] + tilt * X_ND[:, feature] > 0).astype(np.int64) for tilt, feature in zip(TILTS, own, strict=True)
    ]
    return [
        eye[one] * confidence + (1 - eye[one]) * (1 - confidence) for one, confidence in zip(chosen, sure, strict=True)
    ]


def taught(labels: list[Floats], loss: LossConfig) -> Trained:
    target_NMC = torch.from_numpy(np.stack([one[:N] for one in labels], axis=1))
    target = target_NMC.mean(dim=1) if isinstance(loss, Xent) else target_NMC
    lesson = Lesson(target, torch.ones(N, dtype=torch.float64), loss, 1e-3)
    (head,) = fit(
        torch.from_numpy(X_ND[:N, None]), [lesson], [None], [None], Plan("adam", 200, 0.05, None, False, True)
    )
    return head


def accuracy(head: Trained) -> float:
    logits_NC = X_ND[N:] @ head.weight_OD.numpy().T + head.bias_O.numpy()
    return float((logits_NC.argmax(axis=1) == TRUTH_N[N:]).mean())


def weights(head: Trained) -> list[float]:
    found: list[float] = head.course[-1]["weight"]
    return found


@pytest.fixture(scope="module")
def mean() -> Trained:
    return taught(crowd((0.9, 0.9, 0.9)), Xent())


def test_supervisors_are_as_good_as_they_should_be() -> None:
    right = [(one.argmax(axis=1) == TRUTH_N).mean() for one in crowd((0.9, 0.9, 0.9))]
    assert right == pytest.approx([0.92, 0.61, 0.75], abs=0.02)


def test_without_a_step_it_is_the_mean_ensemble(mean: Trained) -> None:
    head = taught(crowd((0.9, 0.9, 0.9)), Raven(weight_lr=0, **NOW))
    torch.testing.assert_close(head.weight_OD, mean.weight_OD, rtol=0, atol=1e-9)
    assert {tuple(point["weight"]) for point in head.course} == {(1 / 3, 1 / 3, 1 / 3)}
    assert [head.course[0]["step"], head.course[-1]["step"]] == [0, 200]


def test_learned_weights_beat_the_mean(mean: Trained) -> None:
    head = taught(crowd((0.9, 0.9, 0.9)), Raven(weight_lr=1e-2, **NOW))
    best, worst, middle = weights(head)
    assert best > 1 / 3 > worst
    assert best > middle > worst
    assert accuracy(head) > accuracy(mean) + 0.02


def test_an_easy_start_bears_a_longer_step(mean: Trained) -> None:
    """A long step from the start bets on whom the student, which knows nothing yet, happens to follow."""
    labels = crowd((0.9, 0.9, 0.9))
    early = taught(labels, Raven(weight_lr=0.1, **NOW))
    easy = taught(labels, Raven(weight_lr=0.1, easy=0.5, freeze=0.5))
    assert weights(easy)[0] > 0.5 > weights(early)[0]
    assert accuracy(easy) > accuracy(mean) + 0.05 > accuracy(early)


def test_a_modest_best_supervisor_loses_unless_all_are_calibrated(mean: Trained) -> None:
    """Cross-entropy against sure labels is lower; a temperature from held-out rows takes that away."""
    labels = crowd((0.7, 0.99, 0.99))
    rows = slice(N, N + HELD_OUT)
    calibrated = [at_temperature(one, fit_temperature(one[rows], TRUTH_N[rows])) for one in labels]
    raw, mended = (taught(each, Raven(weight_lr=1e-2, **NOW)) for each in (labels, calibrated))
    assert weights(raw)[0] < 0.01
    assert weights(mended)[0] > 0.6
    assert accuracy(raw) < accuracy(mean) < accuracy(mended)


def test_supervisors_that_err_together_outvote_the_best() -> None:
    """The method's known weakness: what two of three agree on is what the student believes."""
    together = taught(crowd((0.9, 0.9, 0.9), own=(1, 2, 2)), Raven(weight_lr=1e-2, **NOW))
    assert weights(together)[0] < 0.25
    assert accuracy(together) < 0.75
