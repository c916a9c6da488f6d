"""RAVEN and the evidential crowd as plans: what is heard, what the floor is, and what they share with an ensemble."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from tests.w2s.methods.planning import config, grades, planned, student, world
from w2s.stages import Calibrated, Combine, Crowd, Labels, Outcome, Predict


def heard(outcome: Outcome) -> Crowd:
    labels = student(outcome).labels
    assert isinstance(labels, Crowd)
    return labels


def floor(outcome: Outcome) -> Labels:
    assert outcome.floor is not None
    return outcome.floor.labels


def test_the_student_hears_calibrated_supervisors_and_the_floor_is_their_mean() -> None:
    outcome = planned("raven")
    crowd, verdict = heard(outcome).labels, floor(outcome)
    assert [type(one) for one in crowd] == [Calibrated] * 3
    assert isinstance(verdict, Combine)
    assert verdict.how == "mean_prob"
    assert [one.labels.model for one in verdict.labels] == [one.labels.model for one in crowd]  # type: ignore[attr-defined]
    assert list(outcome.extras) == ["member 0", "member 1", "member 2"]
    assert outcome.transfer is not None
    assert outcome.transfer.supervisor == verdict


def test_uncalibrated_it_hears_them_as_they_are() -> None:
    assert [type(one) for one in heard(planned("raven", calibrate=False)).labels] == [Predict] * 3


def test_an_ensemble_of_the_calibrated_has_the_same_floor_and_ceiling() -> None:
    """So that what the weights do is the difference of two students."""
    raven, mean = planned("raven"), planned("ensemble", members=3, combine="calibrated")
    assert grades(raven)[0] == grades(mean)[0]
    assert grades(raven)[2] == grades(mean)[2]
    assert grades(raven)[1] != grades(mean)[1]
    as_they_are = planned("bayesian"), planned("ensemble", members=3)
    assert grades(as_they_are[0])[0] == grades(as_they_are[1])[0]


def test_a_loss_is_told_by_what_was_chosen() -> None:
    assert config("raven", loss={"weight_lr": 0.1}).label == "raven loss=raven(weight_lr=0.1)"
    assert config("raven", calibrate=False).label == "raven calibrate=False"


@pytest.mark.parametrize("kind", ["raven", "bayesian"])
def test_another_loss_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError):
        config(kind, loss={"kind": "xent"})


def test_calibrated_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="combine"):
        config("raven", combine="calibrated")


def test_calibration_needs_held_out_rows() -> None:
    with pytest.raises(BadInput, match=r"split\.val"):
        planned("raven", world(split__val=0, strong__evaluate="never"))
