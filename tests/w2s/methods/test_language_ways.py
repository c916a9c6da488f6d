"""What only language models can do: read first (`generative`), or be asked in words (`prompted`)."""

from __future__ import annotations

import pytest

from cluster.errors import BadInput
from tests.w2s.methods.planning import below, config, grades, planned, student, top, world
from w2s.stages import Adapt, Grade, Predict, Prompted, Train


def test_generative_student_and_ceiling_begin_from_the_same_reading() -> None:
    outcome = planned("generative", lr=0.1, epochs=2)
    pupil, ceiling = student(outcome), top(outcome)
    assert isinstance(pupil, Train)
    assert isinstance(ceiling, Train)
    assert pupil.start is not None
    assert ceiling.start is not None
    assert pupil.start.key == ceiling.start.key
    assert (pupil.start.rows.name, pupil.start.learner.optim.lr, pupil.start.learner.epochs) == ("strong", 0.1, 2)
    assert pupil.learner == ceiling.learner == world().strong
    assert len([stage for stage in below(outcome) if isinstance(stage, Adapt)]) == 1


def test_generative_keeps_everyone_elses_floor_and_the_plain_ceiling() -> None:
    outcome, naive = planned("generative"), planned("naive")
    plain = outcome.extras["plain ceiling"]
    assert isinstance(plain, Grade)
    assert (outcome.floor.key, plain.key) == (naive.floor.key, naive.ceiling.key)
    assert not set(grades(outcome)[1:]) & set(grades(naive))


def test_the_prompted_model_is_the_student_and_trains_on_nothing() -> None:
    outcome, naive = planned("prompted"), planned("naive")
    assert (outcome.floor.key, outcome.ceiling.key) == (naive.floor.key, naive.ceiling.key)
    asked = outcome.transfer.labels
    assert isinstance(asked, Prompted)
    assert asked.model == world().strong.model
    assert asked.rows.name == "test"
    assert asked.inputs() == (outcome.transfer.rows.rows,), "no training, no labels"
    assert outcome.transfer.supervisor is not None


@pytest.mark.parametrize("labels", ["weak", "gold"])
def test_shots_carry_weak_labels_or_the_truth(labels: str) -> None:
    asked = planned("prompted", shots=5, shot_labels=labels).transfer.labels
    assert isinstance(asked, Prompted)
    assert asked.drawn_from is not None
    assert asked.drawn_from.name == "strong"
    assert (asked.shot_labels is None) == (labels == "gold")
    if labels == "weak":
        assert isinstance(asked.shot_labels, Predict)
        assert asked.shot_labels.rows == asked.drawn_from


def test_a_prior_is_that_of_weak_labels() -> None:
    asked = planned("prompted", calibrate="prior").transfer.labels
    assert isinstance(asked, Prompted)
    assert isinstance(asked.prior, Predict)
    assert asked.shot_labels is None
    assert asked.prior.rows == asked.drawn_from


def test_they_are_told_apart_in_tables() -> None:
    label = config("prompted", shots=5, prompt={"words": [" no", " yes"]}).label
    assert label == "prompted shots=5 prompt=no/yes"
    assert {stage.words for stage in below(planned("generative")) if isinstance(stage, Train)} >= {
        "train tiny-bert-32x2 on strong (truth, xent) s0",
        "train tiny-bert-32x2 on strong (truth, xent) s0, adapted",
    }


@pytest.mark.parametrize("kind", ["generative", "prompted"])
def test_word_vectors_can_do_neither(kind: str) -> None:
    vectors = {"source": "static:./x.safetensors", "tokenizer": "./y.json"}
    with pytest.raises(BadInput, match="is no language model"):
        planned(kind, world(strong__model=vectors))
