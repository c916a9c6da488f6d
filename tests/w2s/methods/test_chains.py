"""Students that teach students: which stages a chain is made of, and which it shares with simpler methods."""

from __future__ import annotations

import pytest

from cluster.errors import BadInput
from tests.w2s.methods.planning import config, grades, planned, student, top, world
from w2s.stages import Combine, Model, Piece, Predict

OTHER = {"model": {"source": "tiny:bert", "width": 16}, "epochs": 3, "lr": 1e-2, "loss": "brier", "labels": "hard"}


@pytest.mark.parametrize("data", ["same", "fresh"])
def test_a_chain_of_one_is_naive(data: str) -> None:
    """The very stages, whatever the data: a single rung's share of the half is all of it."""
    outcome = planned("bootstrap", chain=("strong",), data=data)
    assert grades(outcome) == grades(planned("naive"))
    assert not outcome.extras


def test_s2s_is_a_chain_of_the_strong_model() -> None:
    assert grades(planned("s2s", iterations=0)) == grades(planned("naive"))
    two = planned("s2s", iterations=2)
    chain = planned("bootstrap", chain=("strong", "strong", "strong"))
    assert grades(two) == grades(chain)
    assert [stage.key for stage in two.extras.values()] == [stage.key for stage in chain.extras.values()]
    assert two.extras["iteration 0"].key == world().grade(planned("naive").transfer.labels).key, "naive's student"


def taught_by(model: Model) -> Model:
    labels = model.labels.labels[0] if isinstance(model.labels, Combine) else model.labels
    assert isinstance(labels, Predict)
    return labels.model


def test_every_rung_learns_what_the_one_before_says_of_its_own_rows() -> None:
    outcome = planned("bootstrap", chain=("weak", OTHER, "strong"))
    last = student(outcome)
    middle = taught_by(last)
    first = taught_by(middle)
    assert [model.learner.model.short for model in (first, middle, last)] == [
        "tiny-bert-8x1", "tiny-bert-16x2", "tiny-bert-32x2",
    ]  # fmt: skip
    assert taught_by(first).labels is None, "below the first rung stands the supervisor"
    assert {model.rows for model in (first, middle, last)} == {world().part("strong")}
    assert top(outcome).key == top(planned("naive")).key
    assert list(outcome.extras) == ["rung 1", "rung 2"]
    assert last.val_labels is not None
    assert last.val_labels.key == Predict(middle, world().part("val")).key, (
        "held-out rows are labelled by the same teacher"
    )


def test_a_rung_has_its_own_settings_and_the_rest_from_its_learner() -> None:
    middle = taught_by(student(planned("bootstrap", chain=(OTHER, "strong"))))
    strong = world().strong
    assert (middle.learner.epochs, middle.learner.optim.lr, middle.loss.kind) == (3, 1e-2, "brier")
    assert (middle.learner.batch, middle.learner.max_tokens) == (strong.batch, strong.max_tokens)
    assert isinstance(middle.labels, Combine)
    assert middle.labels.how == "majority"
    weak = taught_by(student(planned("bootstrap", chain=({**OTHER, "learner": "weak"}, "strong"))))
    assert weak.learner.evaluate == world().weak.evaluate == "never"


def test_fresh_rungs_share_no_rows_and_the_ceiling_has_as_many() -> None:
    outcome = planned("bootstrap", chain=("strong", "strong", "strong"), data="fresh")
    last = student(outcome)
    rungs = [taught_by(taught_by(last)), taught_by(last), last]
    assert [model.rows.piece for model in rungs] == [Piece(0, 3), Piece(1, 3), Piece(2, 3)]
    for model in rungs:
        assert isinstance(model.labels, Predict)
        assert model.labels.rows == model.rows
    assert top(outcome).rows == last.rows
    groups = [f"group {i}" for i in range(300)]
    held = [[group for group in groups if piece.holds(0, group)] for piece in (Piece(0, 3), Piece(1, 3), Piece(2, 3))]
    assert sorted(group for share in held for group in share) == sorted(groups), "each group in exactly one share"


def test_a_rung_of_given_labels_is_refused_in_one_line() -> None:
    features = world(
        task={"kind": "features", "path": "x.npz"},
        weak={"model": "given:w"},
        strong={"model": "features:x", "probe": {}},
    )
    with pytest.raises(
        BadInput, match=r"^method\.chain\.0: weak is given:w, labels, which cannot learn; name a model$"
    ):
        planned("bootstrap", features, chain=("weak", "strong"))
    assert planned("bootstrap", features).transfer


def test_settings_that_do_not_go_with_a_rung_are_refused_in_one_line() -> None:
    probes = world(strong={"model": {"source": "tiny:bert"}, "probe": {}})
    with pytest.raises(
        BadInput, match=r"^method\.chain\.0: probe: a head alone is trained, .* so epochs means nothing here$"
    ):
        planned("bootstrap", probes, chain=({"learner": "strong", "epochs": 3}, "strong"))
    fast = taught_by(student(planned("bootstrap", probes, chain=({"learner": "strong", "lr": 0.5}, "strong"))))
    assert fast.learner.probe is not None
    assert fast.learner.probe.lr == 0.5


def test_a_chain_is_told_in_tables() -> None:
    chain = ("weak", {"model": "gpt2", "epochs": 1, "loss": {"kind": "confidence", "alpha": 0.75}}, "strong")
    told = config("bootstrap", chain=chain, data="fresh").label
    assert told == "bootstrap chain=weak>gpt2(epochs=1.0,loss=confidence(alpha=0.75))>strong data=fresh"
