"""What each method's graph is made of, and what methods share."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.errors import BadInput
from tests.w2s.methods.planning import OWN, below, grades, planned, student, top, world
from tests.w2s.test_recipes import TAUGHT
from w2s.stages import Combine, Corrupt, Embed, Filter, Model, Predict, Relabel, TopoFilter, Train

ONE = ("choose_weak",)  # takes one of its candidates, and combines nothing
OTHERS = (
    "generative",
    "prompted",
    "self_distill",
    "random_labels",
    "raven",
    *ONE,
    *OWN,
)  # whose floor is none of the usual
SINGLE = tuple(kind for kind in TAUGHT if kind not in OTHERS)


@pytest.mark.parametrize("kind", SINGLE)
def test_the_floor_is_the_supervisors_own_for_every_method(kind: str) -> None:
    """Whatever a method does to the labels: the same grade of the same stage, so that PGRs compare."""
    assert planned(kind, members=2).floor.key == planned("naive", members=2).floor.key


@pytest.mark.parametrize("kind", [kind for kind in TAUGHT if kind not in (*ONE, *OWN)])
def test_every_method_may_have_a_crowd(kind: str) -> None:
    outcome = planned(kind, members=3, combine="majority")
    crowds = [stage for stage in below(outcome) if isinstance(stage, Combine) and len(stage.labels) == 3]
    assert crowds
    assert {stage.how for stage in crowds} == {"majority"}


def test_finetune_is_every_other_method_of_one_loss() -> None:
    assert grades(planned("finetune")) == grades(planned("naive"))
    assert grades(planned("finetune", loss={"kind": "confidence", "alpha": 0.3})) == grades(
        planned("confidence", alpha=0.3)
    )
    assert grades(planned("finetune", loss={"kind": "xent", "labels": "hard"})) == grades(
        planned("naive", labels="hard")
    )
    hard = student(planned("finetune", loss="brier", labels="hard"))
    assert isinstance(hard.labels, Combine)
    assert len(hard.labels.labels) == 1


def test_self_distillation_has_two_of_the_strong_model_on_two_halves() -> None:
    outcome = planned("self_distill")
    pupil = student(outcome)
    assert isinstance(pupil.labels, Predict)
    twin = pupil.labels.model
    assert twin.learner == pupil.learner == world().strong
    assert (twin.labels, twin.rows.name, pupil.rows.name) == (None, "weak", "strong")
    assert outcome.floor.key == world().grade(Predict(twin, world().part("test"))).key
    assert top(outcome).key == top(planned("naive")).key


def test_early_stopping_is_of_the_student_alone() -> None:
    outcome = planned("early_stop", every=4, patience=3)
    pupil = student(outcome)
    assert (pupil.learner.evaluate, pupil.learner.select, pupil.learner.patience) == (4, "best", 3)
    assert pupil.val_labels is not None, "it is held against weak labels"
    assert top(outcome).key == top(planned("naive")).key
    assert outcome.floor.key == planned("naive").floor.key
    assert student(planned("early_stop", select="oracle")).val_labels is None, "and an oracle against truth"


def test_early_stopping_needs_held_out_rows() -> None:
    nothing = world(split={"val": 0.0}, strong__evaluate="never")
    with pytest.raises(BadInput, match=r"^method early_stop: split\.val is 0, so nothing is held out"):
        planned("early_stop", nothing)


def test_a_probe_has_no_patience() -> None:
    probes = world(strong={"model": {"source": "tiny:bert"}, "probe": {}})
    assert student(planned("early_stop", probes)).learner.select == "best"
    with pytest.raises(BadInput, match=r"^method early_stop: probe: .* so patience means nothing here$"):
        planned("early_stop", probes, patience=2)


@pytest.mark.parametrize("choices,kind", [
    ({}, Filter), ({"by": "threshold"}, Filter), ({"by": "knn"}, Filter), ({"by": "logistic"}, Filter),
    ({"by": "topological"}, TopoFilter),
])  # fmt: skip
def test_a_filter_acts_on_rows_to_learn_from_alone(choices: dict[str, Any], kind: type) -> None:
    pupil, naive = student(planned("filter", **choices)), student(planned("naive"))
    assert isinstance(pupil.labels, kind)
    assert pupil.val_labels is not None
    assert naive.val_labels is not None
    assert pupil.val_labels.key == naive.val_labels.key
    assert pupil.labels.on(world().part("strong")).key == pupil.labels.key
    assert pupil.labels.on(world().part("test")).key == planned("naive").floor.labels.key


def test_filter_and_relabel_share_the_second_opinion() -> None:
    for by in ("knn", "logistic"):
        kept, new = student(planned("filter", by=by)).labels, student(planned("relabel", by=by)).labels
        assert isinstance(kept, Filter)
        assert isinstance(new, Relabel)
        assert kept.opinion is not None
        assert kept.opinion.key == new.key


def test_other_rows_are_relabelled_by_the_strong_halfs() -> None:
    labels = student(planned("relabel")).val_labels
    assert isinstance(labels, Relabel)
    assert (labels.rows.name, labels.reference.name) == ("val", "strong")
    back = labels.on(world().part("strong"))
    assert back.key == student(planned("relabel")).labels.key  # type: ignore[union-attr]


def test_hidden_states_are_those_of_a_probe_where_it_keeps_that_layer() -> None:
    def embeds(**probe: Any) -> set[str]:
        there = world(strong={"model": {"source": "tiny:bert"}, "probe": probe})
        return {stage.key for stage in below(planned("relabel", there)) if isinstance(stage, Embed)}

    assert len(embeds()) == len(embeds(layer=1, embed=["middle"])) == 1
    assert len(embeds(layer=1)) == 2


@pytest.mark.parametrize("structure", ["random", "longest", "shortest", "unconfident", "confident"])
def test_a_control_asks_only_a_strong_model_that_saw_none_of_these_rows(structure: str) -> None:
    outcome = planned("random_labels", structure=structure)
    labels = student(outcome).labels
    assert isinstance(labels, Corrupt)
    assert (labels.sure is not None) == (structure in ("unconfident", "confident"))
    if labels.sure is not None:
        assert isinstance(labels.sure, Predict)
        assert (labels.sure.model.learner, labels.sure.model.rows.name) == (world().strong, "weak")
    asked = outcome.floor.labels
    assert isinstance(asked, Corrupt)
    inner = [labels for labels in (asked.like, asked.sure) if labels is not None]
    assert {labels.rows.name for labels in inner if isinstance(labels, Predict)} == {"test"}, "all of it moves together"


def test_alone_means_alone() -> None:
    floor, ceiling = planned("floor", members=2), planned("ceiling")
    assert (list(floor.sides()), list(ceiling.sides())) == (["floor"], ["ceiling"])
    assert {s.learner for s in below(floor) if isinstance(s, Model)} == {world().weak}
    assert [s.learner for s in below(ceiling) if isinstance(s, Train)] == [world().strong]
    assert floor.floor.key == planned("naive", members=2).floor.key
    assert top(ceiling).key == top(planned("naive")).key
