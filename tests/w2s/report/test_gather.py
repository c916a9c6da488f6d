"""From a real store to a report: numbers equal those worked by hand from the files, what is not there is named.

`finished` holds the toy recipe's results, for reading only; tests that damage them do so to a `copy`.
"""

# N rows

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import StageFailed
from cluster.store import Store
from tests.w2s.report.finished import RECIPE, toy
from w2s import bridge
from w2s.metrics import pgr
from w2s.recipe import Recipe
from w2s.report import render
from w2s.report.gather import gather
from w2s.report.summary import Report, summarise
from w2s.stages import Labels, Outcome, Rows
from w2s.work import graded

SIDES = ("floor", "transfer", "ceiling")
PROBE = {"model": {"source": "tiny:bert", "width": 32, "depth": 2}, "max_tokens": 64, "probe": {"optimizer": "adam"}}


def report_of(store: Store, recipe: Recipe = RECIPE) -> Report:
    return summarise(gather(recipe, store))


# --- by hand: the files alone, none of the code that reports are made with -----------------------------------------


def truth(store: Store) -> dict[str, int]:
    """True label by id of the test rows."""
    rows = pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()
    return {row["id"]: row["label"] for row in rows if row["split"] == "test"}


def choices(store: Store, labels: Labels) -> dict[str, int]:
    """The first of a labeller's most probable classes, by id."""
    table = pq.read_table(store.path(labels.key) / "labels.parquet").to_pylist()
    return {row["id"]: row["probs"].index(max(row["probs"])) for row in table}


def right(store: Store, labels: Labels) -> dict[str, bool]:
    """Whether a labeller's choice is the truth, by id."""
    chosen = choices(store, labels)
    return {row_id: chosen[row_id] == label for row_id, label in truth(store).items()}


def accuracy(store: Store, labels: Labels) -> float:
    found = right(store, labels)
    return sum(found.values()) / len(found)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


METHODS = list(enumerate(RECIPE.outcomes.values()))
EACH = pytest.mark.parametrize("place, by_seed", METHODS, ids=[method.kind for method in RECIPE.outcomes])


@EACH
@pytest.mark.parametrize("side", SIDES)
def test_each_side_is_the_share_of_right_choices_in_the_files(
    finished: Store, side: str, place: int, by_seed: dict[int, Outcome]
) -> None:
    by_hand = {seed: right(finished, getattr(outcome, side).labels) for seed, outcome in by_seed.items()}
    found = gather(RECIPE, finished).methods[place]
    for scores in found.seeds:
        grade = getattr(scores, side)
        assert dict(zip(grade.ids, grade.correct.tolist(), strict=True)) == by_hand[scores.seed]
        assert grade.metrics["accuracy"] == pytest.approx(mean([*map(float, by_hand[scores.seed].values())]))
    expected = mean([float(value) for one in by_hand.values() for value in one.values()])
    assert getattr(report_of(finished).rows[place], side).mean == pytest.approx(expected)


@EACH
def test_gain_recovery_and_agreement_follow_from_the_files(
    finished: Store, place: int, by_seed: dict[int, Outcome]
) -> None:
    floors, transfers, ceilings = (
        [accuracy(finished, getattr(outcome, side).labels) for outcome in by_seed.values()] for side in SIDES
    )
    same: list[float] = []
    for outcome in by_seed.values():
        student, supervisor = (choices(finished, grade.labels) for grade in (outcome.transfer, outcome.floor))
        same += [float(student[row_id] == supervisor[row_id]) for row_id in truth(finished)]
    row = report_of(finished).rows[place]
    assert row.gain is not None
    assert row.gain.mean == pytest.approx(mean(transfers) - mean(floors))
    assert row.agreement == pytest.approx(mean(same))
    assert row.per_seed_pgr == tuple(
        pytest.approx(pgr(f, t, c)) if c > f else None for f, t, c in zip(floors, transfers, ceilings, strict=True)
    )
    assert (row.seeds, row.missing) == ((0, 1), ())
    if row.pgr is None:
        assert row.verdict == "no gap to recover"
    else:
        assert row.pgr.mean == pytest.approx(pgr(mean(floors), mean(transfers), mean(ceilings)))


def test_the_facts_are_those_of_the_recipe_and_of_its_test_rows(finished: Store) -> None:
    labels = truth(finished)
    report = report_of(finished)
    assert report.n_test == len(labels) == 60
    assert report.majority == pytest.approx(max(Counter(labels.values()).values()) / len(labels))
    assert (report.recipe, report.task, report.chance) == ("toy", "toy", 0.5)
    assert (report.weak, report.strong) == ("tiny-bert-8x1", "tiny-bert-32x2")
    assert [row.method for row in report.rows] == [method.label for method in RECIPE.methods]


def test_each_member_of_a_crowd_keeps_its_own_accuracy_over_seeds(finished: Store) -> None:
    crowd, single = report_of(finished).rows
    expected: dict[str, list[float]] = {}
    for outcome in METHODS[0][1].values():
        for name, grade in outcome.extras.items():
            expected.setdefault(name, []).append(accuracy(finished, grade.labels))  # type: ignore[attr-defined]
    assert set(expected) == {"member 0", "member 1"}
    assert crowd.members == {name: pytest.approx(values) for name, values in expected.items()}
    for name, mean_of in crowd.member_means.items():
        assert mean_of.mean == pytest.approx(mean(expected[name]))
        assert mean_of.low is not None
        assert mean_of.high is not None
        assert mean_of.low < mean_of.mean < mean_of.high
    assert (single.members, single.member_means) == ({}, {})


# --- what is not there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_deleted_grade_is_named_and_only_its_seed_is_left_out(copy: Store, side: str) -> None:
    whole = report_of(copy)
    gone = getattr(METHODS[0][1][1], side)
    copy.delete(gone.key)
    report = report_of(copy)
    crowd, single = report.rows
    assert crowd.missing == (bridge.name(gone),)
    assert crowd.seeds == (0,)
    assert len(crowd.per_seed_pgr) == 1
    for other in SIDES:  # the seed's other two grades do not count either: the three are compared over the same seeds
        assert getattr(crowd, other).mean == pytest.approx(accuracy(copy, getattr(METHODS[0][1][0], other).labels))
    assert single == whole.rows[1], "each method's grades are its own"
    text = render.markdown(report)
    assert f"{crowd.method}: 1 stage is missing: {render._md(bridge.name(gone))}" in text


def test_a_deleted_member_is_named_and_the_three_sides_stand(copy: Store) -> None:
    whole = report_of(copy).rows[0]
    gone = METHODS[0][1][1].extras["member 1"]
    copy.delete(gone.key)
    row = report_of(copy).rows[0]
    assert row.missing == (bridge.name(gone),)
    assert row.members == {"member 0": whole.members["member 0"], "member 1": whole.members["member 1"][:1]}
    assert (row.seeds, row.transfer, row.pgr) == (whole.seeds, whole.transfer, whole.pgr)


def test_an_empty_store_has_no_numbers_and_names_every_grade(tmp_path: Path) -> None:
    place = tmp_path / "nothing"
    found = gather(RECIPE, Store.open(place, create=False))
    assert (found.n_test, found.majority) == (None, None)
    for method, (_, by_seed) in zip(found.methods, METHODS, strict=True):
        promised = [bridge.name(stage) for outcome in by_seed.values() for stage in outcome.stages()]
        assert method.missing == tuple(promised)
        assert method.members is None
        assert all((s.floor, s.transfer, s.ceiling) == (None,) * 3 for s in method.seeds)
    assert not place.exists(), "a report makes no store"


def test_a_stage_that_is_two_things_at_once_is_missing_once(tmp_path: Path) -> None:
    """A crowd of one is its own verdict: the floor's grade is the member's."""
    recipe = toy(method={"kind": "ensemble", "members": 1}, baselines=[], seeds=[0])
    (method,) = gather(recipe, Store.open(tmp_path / "nothing", create=False)).methods
    assert len(method.missing) == len(set(method.missing)) == 3


def test_a_report_needs_grades_and_rows_and_nothing_else(copy: Store) -> None:
    """Models and labels may be cleared away; what was measured stays to be read."""
    whole = report_of(copy)
    keep = {stage.key for stage in RECIPE.goals()} | {Rows(RECIPE.task).key}
    for key in set(copy.keys()) - keep:
        copy.delete(key)
    assert set(copy.keys()) == keep
    assert report_of(copy) == whole


def test_reading_a_report_changes_nothing_in_the_store(copy: Store) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        places = Path(copy.url).rglob("*")
        return {place: (place.stat().st_mtime_ns, place.stat().st_size) for place in places}

    before = state()
    report_of(Store.open(copy.url, create=False))
    assert state() == before


# --- what is damaged ----------------------------------------------------------------------------------------------


def table(**columns: list[Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    "raw, says",
    [
        (None, "is missing"),
        (b"", "cannot be read"),
        (b"PAR1 and nothing more PAR1", "cannot be read"),
        (table(id=["a", "b"], correct=[True, False])[:-20], "cannot be read"),
        (table(id=["a", "b"]), "cannot be read"),
        (table(id=["a", "b"], correct=[True, None]), "needs one"),
        (table(id=["a", "a"], correct=[True, False]), "needs one"),
        (table(id=["a", "b"], correct=[0.2, 0.9]), "needs one"),
    ],
    ids=["gone", "empty", "no parquet", "cut short", "no answers", "an answer short", "an id twice", "no flags"],
)
def test_a_damaged_grade_is_a_problem_with_a_remedy(copy: Store, raw: bytes | None, says: str) -> None:
    key = METHODS[0][1][0].floor.key
    file = copy.path(key) / graded.FILE
    file.unlink()
    if raw is not None:
        file.write_bytes(raw)
    with pytest.raises(StageFailed, match=says) as caught:
        gather(RECIPE, copy)
    assert key[:12] in caught.value.where
    assert "w2s verify --quarantine" in caught.value.remedy
    assert [damage.key for damage in copy.verify()] == [key], "the remedy finds it"


def test_a_damaged_receipt_is_a_problem_too(copy: Store) -> None:
    key = METHODS[0][1][0].transfer.key
    receipt = copy.path(key) / "receipt.json"
    receipt.write_bytes(receipt.read_bytes().replace(b'"accuracy": ', b'"accuracy": 1', 1))
    with pytest.raises(StageFailed, match="damaged"):
        gather(RECIPE, copy)


# --- selection by ground truth ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, marked",
    [
        ({}, False),
        ({"strong__select": "best"}, False),
        ({"strong__select": "oracle"}, True),
        ({"strong": {**PROBE, "select": "oracle"}}, True),
        # the supervisor has the truth of its half: choosing by it is no cheating
        ({"weak__select": "oracle", "weak__evaluate": "epoch"}, False),
    ],
    ids=["last", "best", "oracle student", "oracle probe", "oracle supervisor"],
)
def test_a_student_chosen_by_ground_truth_is_marked(tmp_path: Path, changes: dict[str, Any], marked: bool) -> None:
    found = gather(toy(**changes), Store.open(tmp_path / "nothing", create=False))
    assert [method.oracle for method in found.methods] == [marked, marked]
    assert all(row.method.endswith("(oracle)") == marked for row in summarise(found).rows)
