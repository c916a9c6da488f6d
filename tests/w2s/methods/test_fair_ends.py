"""Floor and ceiling are the same yardstick for every method: plain loss, the halves they should have, no look at the test."""

from __future__ import annotations

import pytest

from tests.w2s.methods.planning import below, config, crowd_of, planned, top, world
from tests.w2s.test_recipes import TAUGHT
from w2s import registry
from w2s.losses.xent import Config as Xent
from w2s.stages import Combine, Labels, Model, Outcome, Predict, knows_truth

LOSS = {"kind": "confidence", "alpha": 0.3}


HEARS_ALL = {
    "raven": {"kind": "raven", "weight_lr": 0.3},
    "bayesian": {"kind": "bayesian", "alpha": 0.3},
}  # methods that are one loss, which listens to each of a crowd


def by_another_loss(kind: str) -> Outcome:
    """The method with a student that minimises anything but plain cross-entropy, as far as it leaves a choice."""
    fields = registry.module("methods", kind).Config.model_fields
    if kind == "bootstrap":
        return planned(kind, chain=({"learner": "strong", "loss": LOSS}, {"learner": "strong", "loss": LOSS}))
    loss = HEARS_ALL.get(kind, LOSS)
    choices = {"loss": loss} if "loss" in fields else {"labels": "hard"} if kind == "naive" else {}
    return planned(kind, **crowd_of(kind, 2 if fields["members"].default == 1 else 3), **choices)


def students(outcome: Outcome) -> list[Model]:
    return [stage for stage in below(outcome) if isinstance(stage, Model) and not knows_truth(stage.labels)]


@pytest.mark.parametrize("kind", TAUGHT)
def test_the_methods_loss_is_the_students_alone(kind: str) -> None:
    """Whoever learns from truth, supervisor or ceiling, minimises plain cross-entropy.

    The released sweep hands `--loss` to the runs on truth as well, so its floors and ceilings change with the method.
    """
    outcome = by_another_loss(kind)
    taught = [stage for stage in below(outcome) if isinstance(stage, Model) and knows_truth(stage.labels)]
    assert len(taught) >= 2
    assert {stage.loss for stage in taught} == {Xent()}
    told = {(stage.loss, getattr(stage, "explain", None)) for stage in students(outcome)}
    assert all(getattr(stage, "explain", None) is None for stage in taught)
    if kind != "prompted":  # which trains nobody
        assert told != {(Xent(), None)}


@pytest.mark.parametrize("kind", TAUGHT)
def test_the_ceiling_learns_the_truth_of_the_rows_its_student_learns(kind: str) -> None:
    """The released ceiling is trained on the supervisor's half: other rows than the student's."""
    outcome = by_another_loss(kind)
    assert outcome.transfer is not None
    ceiling, verdict = top(outcome), outcome.transfer.labels
    assert (ceiling.labels, ceiling.rows, ceiling.seed) == (None, world().part("strong"), world().seed)
    assert ceiling.learner == world().strong
    if isinstance(verdict, Predict):
        assert (verdict.model.rows, verdict.model.seed) == (ceiling.rows, ceiling.seed)


@pytest.mark.parametrize("kind", [kind for kind in TAUGHT if kind != "random_labels"])
def test_the_supervisor_never_saw_the_rows_it_labels(kind: str) -> None:
    """Labels of a student's rows come from models of the weak half; a control made of truth is the exception it says it is."""
    for student in students(by_another_loss(kind)):
        for teacher in teachers(student.labels):
            if knows_truth(teacher.labels):
                assert teacher.rows == world().part("weak")


def teachers(labels: Labels | None) -> list[Model]:
    """The models whose predictions these labels are made of."""
    if isinstance(labels, Predict):
        return [labels.model]
    if isinstance(labels, Combine):
        return [model for one in labels.labels for model in teachers(one)]
    return [
        model
        for one in (() if labels is None else labels.inputs())
        if isinstance(one, Labels)
        for model in teachers(one)
    ]


@pytest.mark.parametrize("kind", registry.names("methods"))
def test_nobody_learns_from_or_is_chosen_by_test_rows(kind: str) -> None:
    """Others report the best epoch on the test rows; here they are only ever predicted on and graded."""
    outcome = planned(kind) if kind not in TAUGHT else by_another_loss(kind)
    models = [stage for stage in below(outcome) if isinstance(stage, Model)]
    assert models
    for model in models:
        assert model.rows.name in ("weak", "strong")
        assert model.val is None or model.val.name == "val"


def test_every_method_is_here() -> None:
    """A method that lets its student choose a loss gets one other than the default in the tests above."""
    for kind in TAUGHT:
        if "loss" in registry.module("methods", kind).Config.model_fields:
            other = HEARS_ALL.get(kind, LOSS)
            assert config(kind, loss=other)
            assert {stage.loss.kind for stage in students(by_another_loss(kind))} == {other["kind"]}
