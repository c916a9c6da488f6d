"""What a selective method's graph is made of: whose labels, whose truth, and what is left out of it where a choice is off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput
from tests.w2s.command import w2s, write_recipe
from tests.w2s.methods.planning import below, config, grades, planned, student, top, world
from tests.w2s.work.planted import gate_of, knows_of, write
from w2s.stages import Gate, Grade, Joined, Knows, Labels, Outcome, Piece, Predict, Prompted, Smooth, Truth
from w2s.world import World

LLAMA = {"source": "tiny:llama"}


def asked(**choices: Any) -> Outcome:
    """Own labels by prompting."""
    return planned("selective", world(strong__model=LLAMA), **choices)


def targets(outcome: Outcome) -> Labels:
    labels = student(outcome).labels
    assert labels is not None
    return labels


def named(there: World, name: str) -> Any:
    return there.part(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("choices", [{}, {"gate": "off"}, {"gate": "all"}, {"clamp": True}, {"smooth": 0}], ids=str)
def test_floor_and_ceiling_are_those_of_naive(choices: dict[str, Any]) -> None:
    found, naive = planned("selective", **choices), planned("naive")
    assert (found.floor.key, top(found).key) == (naive.floor.key, top(naive).key)
    assert found.transfer.key != naive.transfer.key


def test_all_off_is_naive() -> None:
    assert grades(planned("selective", gate="off", smooth=0)) == grades(planned("naive"))
    assert config("selective", gate=False).gate == "off", "as YAML reads it"  # type: ignore[attr-defined]


def test_it_asks_where_it_can_and_trains_where_it_cannot(tmp_path: Path) -> None:
    """By name: a decoder is prompted; BERT, word vectors and columns of vectors are trained."""
    assert any(isinstance(stage, Prompted) for stage in below(asked()))
    assert list(asked().extras) == ["own labels"]
    vectors = world(
        task={"kind": "features", "path": str(write(tmp_path))}, weak={"model": "given:w"}, strong={"model": "features:x", "probe": {}}
    )  # fmt: skip
    for outcome in (planned("selective"), planned("selective", vectors), asked(self_labels="trained")):
        assert not any(isinstance(stage, Prompted) for stage in below(outcome))
        assert list(outcome.extras) == ["strong on half 1"], "another and stronger thing has its own name"
    with pytest.raises(BadInput, match="is no language model"):
        planned("selective", vectors, self_labels="prompted")


def test_shots_and_prior_are_of_the_weak_halfs_truth() -> None:
    outcome = asked(shots=3, calibrate="prior")
    prompts = [stage for stage in below(outcome) if isinstance(stage, Prompted)]
    assert {stage.rows.name for stage in prompts} == {"weak", "strong", "val", "test"}
    for stage in prompts:
        assert stage.drawn_from is not None
        assert stage.drawn_from.name == "weak"
        assert (stage.shots, stage.shot_labels) == (3, None)
        assert isinstance(stage.prior, Truth)
        assert stage.prior.rows.name == "weak"


def test_prompts_of_other_methods_draw_from_the_strong_half_as_ever() -> None:
    found = planned("prompted", world(strong__model=LLAMA), shots=2).transfer.labels
    assert isinstance(found, Prompted)
    assert found.drawn_from is not None
    assert found.drawn_from.name == "strong"


def test_what_p_ik_learns_from_was_made_by_models_that_had_not_seen_it() -> None:
    outcome = planned("selective", folds=3)
    judged = knows_of(targets(outcome)).selves
    assert isinstance(judged, Joined)
    assert judged.rows.name == "weak"
    for i, labels in enumerate(judged.labels):
        assert isinstance(labels, Predict)
        assert isinstance(labels.model.labels, Truth)
        assert labels.rows.piece == labels.model.labels.left_out == Piece(i, 3)
    own = gate_of(targets(outcome)).selves
    assert isinstance(own, Predict)
    assert (own.model.labels, own.model.rows.name) == (None, "weak")


def test_truth_is_of_the_weak_half_and_of_held_out_rows_alone() -> None:
    gate = gate_of(targets(planned("selective")))
    assert gate.knows is not None
    assert (gate.knows.reference.name, gate.knows.val.name, gate.val.name) == ("weak", "val", "val")  # type: ignore[union-attr]
    assert isinstance(gate.labels, Smooth)
    assert gate.val_labels is not None
    assert gate.val_labels.key == planned("naive").floor.labels.on(named(world(), "val")).key, "as they are, unsmoothed"


def test_without_held_out_rows_p_ik_stays_as_it_is() -> None:
    gate = gate_of(targets(planned("selective", world(split={"val": 0.0}, strong__evaluate="never"))))
    assert gate.knows is not None
    assert (gate.val, gate.knows.val, gate.knows.val_selves) == (None, None, None)


def test_a_clamped_graph_holds_the_gate_and_a_loose_one_is_held_by_it() -> None:
    firm, loose = targets(planned("selective", clamp=True)), targets(planned("selective"))
    assert isinstance(firm, Smooth)
    assert isinstance(firm.labels, Gate)
    assert isinstance(loose, Gate)
    assert isinstance(loose.labels, Smooth)
    assert knows_of(firm).key == knows_of(loose).key
    with pytest.raises(ValueError, match="only what passed a gate"):
        Smooth(loose.labels, loose.rows, knows_of(loose).features, "middle", 5, 0.5, 5, clamp=True)


def test_ablations_share_what_they_can() -> None:
    everything = [
        planned("selective", gate=gate, smooth=smooth)
        for gate in ("knows", "random", "confidence")
        for smooth in (0, 0.5)
    ]
    gates = {stage.key: stage for outcome in everything for stage in below(outcome) if isinstance(stage, Gate)}
    assert sorted(stage.rows.name for stage in gates.values()) == 6 * ["strong"] + 3 * ["val"]
    for kind in (Knows, Smooth):
        assert len({stage.key for outcome in everything for stage in below(outcome) if isinstance(stage, kind)}) == 1
    alone = planned("selective", gate="all")
    assert not any(isinstance(stage, Knows) for stage in below(alone))


def test_what_held_out_rows_are_learned_by_is_gated_as_well() -> None:
    pupil = student(planned("selective"))
    assert isinstance(pupil.val_labels, Gate)
    assert pupil.val_labels.rows.name == "val"
    assert isinstance(pupil.val_labels.labels, Predict), "and never smoothed"


def test_it_is_told_in_tables() -> None:
    label = config("selective", gate="random", smooth=0, self_labels="trained").label
    assert label == "selective self_labels=trained gate=random smooth=0.0"
    words = {stage.words for stage in below(planned("selective"))}
    assert words >= {
        "P(IK) from weak: cross-fitted tiny-bert-32x2 labels", "smooth strong: tiny-bert-8x1 labels",
        "gate strong by knows: tiny-bert-32x2 or smoothed tiny-bert-8x1 labels",
        "train tiny-bert-32x2 on strong (gated smoothed tiny-bert-8x1 labels, xent) s0",
    }  # fmt: skip


BAD: list[tuple[dict[str, Any], str]] = [
    ({"smooth": 0, "neighbours": 5}, "method: smooth: 0 has no use for neighbours"),
    ({"smooth": 0, "clamp": True}, "method: smooth: 0 has no use for clamp"),
    ({"smooth": 1.0}, "method.smooth: input should be less than 1"),
    ({"gate": "off", "tau": 0.5}, "method: gate: off has no use for tau"),
    ({"gate": "off", "shots": 2, "clamp": True}, "method: gate: off has no use for shots, clamp"),
    ({"gate": "all", "tau": 0.5}, "method: gate: all has no use for tau"),
    ({"tau": 0.8, "rule": "most"}, "method: a tau that is given has no use for rule"),
    ({"gate": "some"}, "method.gate: input should be 'off', 'knows', 'confidence'"),
    ({"self_labels": "trained", "shots": 2}, "method: self_labels: trained has no use for shots"),
    ({"self_labels": "prompted", "folds": 3}, "method: self_labels: prompted has no use for folds"),
    ({"tau": -0.1}, "method.tau: input should be greater than or equal to 0"),
]  # fmt: skip


@pytest.mark.parametrize("method,line", BAD, ids=[str(method) for method, _ in BAD])
def test_what_cannot_be_meant_is_said_in_one_line(method: dict[str, Any], line: str, tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, method={"kind": "selective", **method}))
    assert done.code == 2
    told = done.err.strip().splitlines()
    assert len(told) == 1, done.err
    assert line in told[0]


def test_written_answers_have_no_classes_to_select_by(tmp_path: Path) -> None:
    writer = {"model": "gpt2", "evaluate": "never"}
    recipe = {"task": {"kind": "chess", "answer": "move", "path": str(tmp_path)}, "weak": writer, "strong": writer}
    done = w2s("check", write_recipe(tmp_path, method="selective", baselines=[], **recipe))
    assert done.code == 2
    assert "selective" in done.err


def test_an_oracle_is_marked_in_every_table_and_nothing_else_is(tmp_path: Path) -> None:
    method = {"kind": "selective", "smooth": 0.0}
    recipe = {
        "task": {"kind": "features", "path": str(write(tmp_path))}, "weak": {"model": "given:weak"},
        "strong": {"model": "features:x", "probe": {"l2": 0.1}}, "split": {"val": 0.3},
        "method": method, "baselines": ["naive", {**method, "gate": "oracle"}, {**method, "tau": 1.01}],
    }  # fmt: skip
    done = w2s("run", write_recipe(tmp_path, **recipe), "--store", tmp_path / "store", "--pool", "inline", "--json")
    assert done.code == 0, done.err
    rows = {row["method"]: row for row in done.json["results"]["rows"]}
    oracles = [method for method in rows if "(oracle)" in method]
    assert oracles == ["selective gate=oracle smooth=0.0 (oracle)"]
    assert rows["selective smooth=0.0"]["transfer"]["mean"] <= 1
    naive, none = rows["naive"], rows["selective tau=1.01 smooth=0.0"]
    assert none["transfer"] == naive["transfer"], "above 1 nothing passes, and the student is naive's"
    for side in ("floor", "ceiling"):
        assert len({str(row[side]) for row in rows.values()}) == 1


def test_grades_of_own_labels_stand_beside() -> None:
    (grade,) = planned("selective").extras.values()
    assert isinstance(grade, Grade)
    assert grade.labels.key == gate_of(targets(planned("selective"))).selves.on(named(world(), "test")).key
