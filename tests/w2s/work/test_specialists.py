"""Co-supervised learning's parts: clusters that no order of rows decides, who labels a row, which labels are let through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.methods.planning import planned
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.recipe import Recipe
from w2s.stages import Assigned, Clusters, Denoised, Train
from w2s.work.specialists import clusters, likely, nearest_in_kl, responsible


def blobs(count: int = 60) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.repeat([[0.0, 0.0], [9.0, 0.0], [0.0, 900.0]], count // 3, axis=0) + generator.normal(size=(count, 2))


def test_clusters_are_the_blobs_there_are() -> None:
    """Numbers of any scale: the third blob lies far in one number alone."""
    place = clusters(blobs(), blobs(), 3, "here")
    assert [len(set(part)) for part in place.reshape(3, -1).tolist()] == [1, 1, 1]
    assert len(set(place)) == 3


def test_rows_that_were_not_seen_go_to_the_nearest_middle() -> None:
    known = blobs()
    place = clusters(known, known, 3, "here")
    wanted = np.array([[9.2, 1.0], [0.5, -1.0], [1.0, 905.0]])
    assert clusters(known, wanted, 3, "here").tolist() == [place[20], place[0], place[40]]


def test_fewer_rows_than_clusters() -> None:
    with pytest.raises(BadInput, match="2 different rows, and 3 clusters need as many"):
        clusters(np.array([[0.0], [1.0], [1.0]]), np.zeros((1, 1)), 3, "here")


def test_the_specialist_of_the_students_class() -> None:
    student = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.2, 0.5, 0.2, 0.1]])
    assert responsible(student, [[0, 1], [2, 3]]).tolist() == [0, 1, 0]


def test_the_specialist_nearest_to_the_student() -> None:
    student = np.array([[0.8, 0.2], [0.3, 0.7]])
    specialists = np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.8, 0.2], [0.4, 0.6]], [[1.0, 0.0], [0.4, 0.6]]])
    assert nearest_in_kl(student, specialists).tolist() == [1, 1], (
        "of equals the first; what is ruled out is far, not infinite"
    )


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(0, 2))
def test_kl_is_the_smallest_by_its_formula(raw: list[list[float]], seed: int) -> None:
    specialists = np.array(raw)[:, None] / np.array(raw).sum(-1)[:, None, None]
    student = np.random.default_rng(seed).dirichlet(np.ones(3), size=1)
    kl = (student * np.log(student / specialists)).sum(-1)[:, 0]
    assert kl[nearest_in_kl(student, specialists)[0]] == pytest.approx(kl.min(), abs=1e-9)


IDS = tuple(f"row {i}" for i in range(5))


def test_as_many_labels_are_kept_as_the_student_finds_likely() -> None:
    """Its two likeliest hold the new label in 3 of 5 rows: the 3 of the smallest cross-entropy."""
    student = np.array([[0.5, 0.3, 0.2], [0.9, 0.08, 0.02], [0.4, 0.35, 0.25], [0.1, 0.2, 0.7], [0.34, 0.33, 0.33]])
    new = np.array([1, 0, 2, 0, 0])
    assert likely(new, student, 2, IDS, "here").tolist() == [True, True, False, False, True]
    assert likely(new, student, 1, IDS, "here").tolist() == [False, True, False, False, True]
    assert likely(new, student, 3, IDS, "here").all()


def test_of_two_classes_those_are_kept_that_the_student_chose_itself() -> None:
    student = np.array([[0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.45, 0.55], [0.9, 0.1]])
    new = np.array([1, 1, 0, 0, 0])
    assert likely(new, student, 1, IDS, "here").tolist() == [False, True, True, False, True]


def test_a_student_that_finds_nothing_likely() -> None:
    with pytest.raises(BadInput, match="finds none of the new labels likely; raise top"):
        likely(np.array([1, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), 1, IDS[:2], "here")


@given(st.permutations(range(5)))
def test_no_order_of_rows_has_a_say(order: list[int]) -> None:
    student = np.array([[0.6, 0.4]] * 3 + [[0.4, 0.6]] * 2)
    new = np.array([0, 0, 1, 1, 0])
    ids = [IDS[i] for i in order]
    here, there = likely(new, student, 1, IDS, "here"), likely(new[order], student[order], 1, ids, "here")
    assert {IDS[i] for i in np.flatnonzero(here)} == {ids[i] for i in np.flatnonzero(there)}


# --- through the stages -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two kinds of rows, far apart, of which one's labels are the other's turned round: each needs its own supervisor."""
    folder = tmp_path_factory.mktemp("specialists")
    generator = np.random.default_rng(0)
    kind = np.arange(400) % 2
    vectors = generator.normal(size=(400, 3)).astype(np.float32)
    label = ((vectors[:, 0] > 0) ^ (kind == 1)).astype(np.int64)
    vectors[:, 1] += 20 * kind
    np.savez(folder / "kinds.npz", x=vectors, label=label)
    head = {"model": "features:x", "probe": {"l2": 0.001}, "evaluate": "never"}
    return Bench(
        Recipe.model_validate(
            toy_recipe(task={"kind": "features", "path": str(folder / "kinds.npz")}, weak=head, strong=head)
        ),
        folder,
    )


def pieces(bench: Bench, **choices: Any) -> tuple[Denoised, Assigned]:
    outcome = planned("co_supervised", bench.recipe.world(0), levels=[1, 2], **choices)
    assert outcome.transfer is not None
    kept = vars(outcome.transfer.labels)["model"].labels
    assert isinstance(kept, Denoised)
    assert isinstance(kept.labels, Assigned)
    return kept, kept.labels


def test_specialists_know_what_one_model_of_everything_does_not(bench: Bench) -> None:
    kept, assigned = pieces(bench)
    assert isinstance(assigned.clusters, Clusters)
    bench.prepare(kept)
    floor = planned("naive", bench.recipe.world(0)).floor
    assert floor is not None
    bench.prepare(floor)
    generalist, _ = bench.run(floor)
    metrics, _ = bench.run(assigned)
    assert generalist["accuracy"] < 0.65
    assert metrics["accuracy"] > 0.9
    assert sum(metrics["assigned"]) == metrics["n"]
    sizes, _ = bench.run(assigned.clusters)
    assert metrics["assigned"] == sizes["sizes"], "a row's own cluster's"


def test_what_is_kept_is_what_both_say(bench: Bench) -> None:
    kept, assigned = pieces(bench)
    bench.prepare(kept)
    metrics, _ = bench.run(kept)
    found, new = LabelTable.load(bench.out(kept)), LabelTable.load(bench.out(assigned))
    student = LabelTable.load(bench.out(kept.student)).join(found.ids, "")
    agree = student.probs_NC.argmax(1) == new.join(found.ids, "").probs_NC.argmax(1)
    np.testing.assert_array_equal(found.weight_N > 0, agree)
    assert metrics["kept"] == agree.sum()


def test_a_finetuned_student_takes_as_many_steps_on_fewer_rows(tmp_path: Path) -> None:
    made = Bench(Recipe.model_validate(toy_recipe(strong__evaluate="never")), tmp_path)
    world = made.recipe.world(0)
    labels = world.filter(world.predict(world.train(world.weak, "weak"), "strong"), "confidence", 0.5)
    plain = world.train(world.strong, "strong", labels=labels)
    assert isinstance(plain, Train)
    steps = {}
    for name, stretched in (("plain", None), ("stretched", True)):
        stage = replace(plain, stretched=stretched)
        made.prepare(stage)
        metrics, _ = made.run(stage)
        steps[name] = metrics["planned_steps"]
        rows, kept = metrics["rows"], metrics["kept"]
    batch = made.recipe.strong.batch
    assert kept < 0.6 * rows
    assert steps["plain"] == -(-kept // batch)
    assert abs(steps["stretched"] - rows / batch) <= 1.5, "cut to whole batches"
