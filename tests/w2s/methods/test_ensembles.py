"""Plans of adaboost, co_supervised and reliability: who learns what, what is shared with others, what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from tests.w2s.methods.planning import below, config, planned, student, top, world
from w2s.stages import (
    Assigned,
    Boosted,
    Clusters,
    Combine,
    Denoised,
    Embed,
    Joined,
    Outcome,
    Predict,
    Probe,
    Reliable,
    Reweighted,
    Stage,
    Train,
    Truth,
)
from w2s.world import World

PROBES: dict[str, Any] = {
    "weak": {"model": {"source": "tiny:bert", "width": 8}, "probe": {"l2": 0.1}},
    "strong": {"model": {"source": "tiny:bert"}, "probe": {"l2": 0.1}},
}
GIVEN: dict[str, Any] = {
    "task": {"kind": "features", "path": "x.npz"}, "weak": {"model": "given:a"},
    "strong": {"model": "features:x", "probe": {}},
}  # fmt: skip


def of(outcome: Outcome, *kinds: type[Stage]) -> list[Any]:
    return [stage for stage in below(outcome) if isinstance(stage, kinds)]


def assigned_to(outcome: Outcome) -> list[Any]:
    """New labels to learn from: those of held-out rows are no matter."""
    return [one for one in of(outcome, Assigned) if one.rows.name == "strong"]


def many(classes: int) -> World:
    """A task of more classes; nothing of its file is read for a plan but its digest."""
    head = {"model": "features:x", "probe": {"l2": 0.1}}
    return world(task={"kind": "features", "path": __file__, "classes": classes}, weak=head, strong=head)


# --- adaboost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes,kind", [({}, Train), (PROBES, Probe)], ids=["finetuned", "probes"])
def test_a_round_is_its_model_and_its_judges(changes: dict[str, Any], kind: type[Stage]) -> None:
    outcome = planned("adaboost", world(**changes), rounds=3, folds=4)
    weak = [model for model in of(outcome, kind) if model.learner == world(**changes).weak]
    assert len(weak) == 3 * (1 + 4)
    assert len(of(outcome, Reweighted)) == len(of(outcome, Joined)) == 3
    assert list(outcome.extras) == ["round 1", "round 2", "round 3"]
    released = planned("adaboost", world(**changes), rounds=3, error="training")
    assert len([m for m in of(released, kind) if m.learner == world(**changes).weak]) == 3
    assert not of(released, Joined)


def test_the_vote_is_floor_and_supervisor() -> None:
    outcome = planned("adaboost", rounds=2)
    assert outcome.floor is not None
    verdict = outcome.floor.labels
    assert isinstance(verdict, Boosted)
    assert verdict.on(world().part("strong")).key == student(outcome).labels.key  # type: ignore[union-attr]
    assert [one.round for one in verdict.rounds] == [1, 2]
    hard = student(planned("adaboost", rounds=2, labels="hard")).labels
    assert isinstance(hard, Combine)
    assert isinstance(hard.labels[0], Boosted)


def test_more_rounds_begin_with_the_same_ones() -> None:
    few, more = ({stage.key for stage in of(planned("adaboost", rounds=n), Reweighted, Train)} for n in (2, 4))
    assert len(few - more) == 1, "the student alone: another vote taught it"


def test_the_first_round_and_the_ceiling_are_naives() -> None:
    outcome, naive = planned("adaboost", rounds=2), planned("naive")
    assert outcome.extras["round 1"].key == naive.floor.key  # type: ignore[union-attr]
    assert top(outcome).key == top(naive).key


# --- co_supervised ------------------------------------------------------------------------------------------------


def test_every_level_relabels_denoises_and_starts_anew() -> None:
    outcome = planned("co_supervised", levels=[1, 2, 3])
    assert [len(one.specialists) for one in assigned_to(outcome)] == [2, 3]
    last = student(outcome)
    assert isinstance(last.labels, Denoised)
    assert (last.labels.top, last.labels.rows.name) == (1, "strong"), "of two classes the student's own choice"
    assert isinstance(last, Train)
    assert (last.stretched, last.start, last.seed) == (True, None, 0)
    before = last.labels.student
    assert isinstance(before, Predict)
    assert isinstance(before.model.labels, Denoised)
    first = before.model.labels.student
    assert isinstance(first, Predict)
    assert isinstance(first.model, Train)
    assert (first.model.stretched, first.model.key) == (None, student(planned("naive")).key), "the first is naive's"
    assert outcome.floor.key == planned("naive").floor.key  # type: ignore[union-attr]
    assert list(outcome.extras) == ["student of level 1", "student of level 2"]
    assert outcome.extras["student of level 1"].key == planned("naive").transfer.key  # type: ignore[union-attr]


def test_two_classes_are_not_shared_and_four_are() -> None:
    binary, four = planned("co_supervised", levels=[1, 2]), planned("co_supervised", many(4), levels=[1, 2])
    assert of(binary, Clusters)
    assert not of(four, Clusters)
    assert {one.only for one in of(four, Truth) if one.rows.name == "weak"} == {(0, 1), (2, 3)}
    (assigned,) = assigned_to(four)
    assert (assigned.how, assigned.ranges) == ("class", ((0, 1), (2, 3)))
    (clustered,) = assigned_to(binary)
    assert (clustered.how, clustered.clusters.rows.name, clustered.clusters.reference.name) == (
        "cluster",
        "strong",
        "weak",
    )


def test_ranges_hold_every_class_once_and_two_at_least() -> None:
    for classes, count in ((7, 3), (8, 4), (10, 3)):
        (assigned,) = assigned_to(planned("co_supervised", many(classes), levels=[1, count]))
        assert [c for own in assigned.ranges for c in own] == list(range(classes))
        assert min(map(len, assigned.ranges)) >= 2


def test_clusters_and_students_share_one_pass() -> None:
    probing = world(**PROBES)
    assert len([one for one in of(planned("co_supervised", probing), Embed) if one.model == probing.strong.model]) == 1


def test_held_out_labels_are_assigned_and_all_kept() -> None:
    last = student(planned("co_supervised", levels=[1, 2]))
    assert isinstance(last.val_labels, Assigned)
    assert {one.rows.name for one in last.val_labels.specialists if isinstance(one, Predict)} == {"val"}


# --- reliability --------------------------------------------------------------------------------------------------


def test_the_label_is_the_members_mean_and_only_its_weight_is_new() -> None:
    outcome, crowd = planned("reliability"), planned("ensemble")
    assert outcome.floor.key == crowd.floor.key  # type: ignore[union-attr]
    labels = student(outcome).labels
    assert isinstance(labels, Reliable)
    assert labels.labels.key == student(crowd).labels.key  # type: ignore[union-attr]
    assert (labels.keep, labels.temperature) == (0.5, None)
    assert {one.rows.name for one in labels.members if isinstance(one, Predict)} == {"strong"}


def test_dropout_asks_one_model_often() -> None:
    outcome = planned("reliability", over="dropout", samples=3)
    labels = student(outcome).labels
    assert isinstance(labels, Reliable)
    draws = [one for one in labels.members if isinstance(one, Predict)]
    assert [one.draw for one in draws] == [0, 1, 2]
    assert len({one.model.key for one in draws}) == 1
    assert draws[0].model.key == planned("naive").floor.labels.model.key  # type: ignore[union-attr]


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind,choices,changes,what", [
    ("adaboost", {}, GIVEN, "given:a are labels, which cannot learn"),
    ("co_supervised", {}, GIVEN, "given:a are labels, which cannot learn"),
    ("co_supervised", {"by": "class"}, {}, "4 specialists of 2 or more classes each, and task toy has 2"),
    ("reliability", {}, GIVEN, "one labeller always agrees with itself"),
    ("reliability", {"members": 1}, {}, "one labeller always agrees with itself"),
    ("reliability", {"over": "dropout"}, PROBES, "has no dropout under a probe"),
])  # fmt: skip
def test_plans_that_cannot_be(kind: str, choices: dict[str, Any], changes: dict[str, Any], what: str) -> None:
    with pytest.raises(BadInput, match=what) as refused:
        planned(kind, world(**changes), **choices)
    assert refused.value.remedy
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind,choices,what", [
    ("adaboost", {"members": 3}, "members: adaboost makes its own supervisors; see rounds"),
    ("adaboost", {"combine": "majority"}, "combine: adaboost makes its own supervisors"),
    ("adaboost", {"error": "training", "folds": 3}, "error: training has no use for folds"),
    ("co_supervised", {"members": 3}, "members: co_supervised makes its own supervisors; see levels"),
    ("co_supervised", {"levels": [2, 4]}, "levels begin with one supervisor and grow"),
    ("co_supervised", {"levels": [1, 4, 2]}, "levels begin with one supervisor and grow"),
    ("co_supervised", {"by": "class", "layer": 2}, "by: class has no use for layer"),
    ("reliability", {"over": "dropout", "members": 3}, "over: dropout has no use for members"),
    ("reliability", {"samples": 3}, "over: members has no use for samples"),
    ("reliability", {"temperature": 0.1}, "how: filter has no use for temperature"),
    ("reliability", {"how": "reweight", "keep": 0.3}, "how: reweight has no use for keep"),
])  # fmt: skip
def test_choices_that_would_not_act(kind: str, choices: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(what)):
        config(kind, **choices)


def test_a_table_tells_them_apart() -> None:
    chosen: list[tuple[str, dict[str, Any]]] = [
        ("adaboost", {}), ("adaboost", {"error": "training"}), ("adaboost", {"vote": "discrete"}), ("adaboost", {"rounds": 9}),
        ("co_supervised", {}), ("co_supervised", {"levels": [1, 2]}), ("co_supervised", {"assign": "kl"}),
        ("reliability", {}), ("reliability", {"over": "dropout"}), ("reliability", {"how": "reweight", "differ": "bootstrap"}),
    ]  # fmt: skip
    labels = [config(kind, **choices).label for kind, choices in chosen]
    assert len(set(labels)) == len(labels)
    assert labels[1] == "adaboost error=training"
    assert labels[5] == "co_supervised levels=1+2"
