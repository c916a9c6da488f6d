"""What disks, memory and numbers do to a gang that trains: damaged checkpoints, full disks, deaths while saving, NaN.

Real processes over gloo and real DeepSpeed, without Ray (tests/chaos has that). Whatever happens, every rank tells the same,
nothing half-written is ever read, and the run that ends has the bits of the unbroken one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import toy_recipe
from tests.w2s.work.gang import Case, Result, run, run_until_failure
from tests.w2s.work.run_stage import Bench, weights
from w2s.recipe import Recipe
from w2s.stages import Train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RANKS = 2
NEWEST, BEFORE = "step-000000007", "step-000000006"
FILES = ("tensors-00000.safetensors", "tensors-00001.safetensors", "state.json", "manifest.json")
BOTH = [[f"{step}/{FILES[0]}", "flip"] for step in (NEWEST, BEFORE)]
FULL = 20_000  # bytes: less than any file of weights, more than a rank's log
EPOCHS = 1.5  # of 7 steps: three saves, each third step, and an end after the last
RECIPE = toy_recipe(strong__epochs=EPOCHS, method={"kind": "confidence"}, baselines=[])
WILD = toy_recipe(strong__epochs=EPOCHS, method={"kind": "confidence"}, baselines=[], strong__optim={"lr": 1e30})


def damaged(zero: int, name: str, harm: list[list[Any]], **machines: Any) -> Case:
    how = {"saved": f"saved{zero}", "harm": harm}
    return Case(f"{name}-{zero}", {"zero": zero, **machines}, mishap="tests.w2s.work.mishaps:damaged", how=how)


def full(zero: int, name: str, work: str, rank: int, **machines: Any) -> Case:
    how = {"rank": rank, "limit": FULL}
    return Case(name, {"zero": zero, **machines}, work=work, mishap="tests.w2s.work.mishaps:full_disk", how=how)


def one_file(zero: int, file: str, how: str) -> Case:
    return damaged(zero, f"{how}-{file}", [[f"{NEWEST}/{file}", how]])


def cases(zero: int) -> list[Case]:
    """Everything that can befall one gang under a ZeRO stage without ending its processes, in one start."""
    some = [("flip", FILES[0]), ("truncate", FILES[1]), ("remove", FILES[1]), ("flip", FILES[3])]
    every = [(how, file) for how in ("flip", "truncate", "remove") for file in FILES]
    saves = {"zero": zero, "checkpoint_steps": 3}
    return [
        Case(f"unbroken-{zero}", {"zero": zero}),
        Case(f"saved{zero}", saves, stop_after=7),
        *(one_file(zero, file, how) for how, file in (every if zero == 2 else some)),
        damaged(zero, "both", BOTH),
        damaged(zero, "both-again", BOTH, checkpoint_steps=2),
        damaged(zero, "other-key", [[f"{NEWEST}/manifest.json", {"key": "another"}]]),
        damaged(zero, "other-format", [[f"{NEWEST}/manifest.json", {"format": 99}]]),
        full(zero, f"full-save-{zero}", f"full{zero}", rank=1, checkpoint_steps=3),
        full(zero, f"full-state-{zero}", f"full{zero}", rank=0, checkpoint_steps=3),
        Case(f"freed-save-{zero}", saves, work=f"full{zero}", stop_after=7),
        full(zero, f"full-publish-{zero}", f"full{zero}", rank=0),
        Case(f"freed-publish-{zero}", {"zero": zero}, work=f"full{zero}"),
        Case(f"nan-{zero}", {"zero": zero}, recipe=WILD),
    ]


@dataclass(frozen=True)
class Ran:
    """A stage, and what became of its cases."""

    bench: Bench
    key: str
    results: dict[str, Result]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, str]:
    """What the student's stage needs, done."""
    made = Bench(Recipe.model_validate(RECIPE), tmp_path_factory.mktemp("faults"))
    stage = next(s for s in made.recipe.graph().values() if isinstance(s, Train) and s.labels is not None)
    made.prepare(stage)
    return made, stage.key


@pytest.fixture(scope="module")
def ran(bench: tuple[Bench, str]) -> Ran:
    made, key = bench
    return Ran(made, key, run(made.root, RECIPE, key, [*cases(2), *cases(3)], RANKS))


def whole(ran: Ran, name: str, zero: int) -> None:
    """The case ended well on every rank, with the bits of the unbroken run."""
    found = ran.results[f"{name}-{zero}"]
    assert found.errors == [None, None]
    assert weights(found.out) == weights(ran.results[f"unbroken-{zero}"].out), name


def told(ran: Ran, name: str, zero: int) -> list[str]:
    """What it noted about checkpoints: the same on every rank."""
    each = [
        [note for note in notes if "checkpoint" in note or "resumed" in note]
        for notes in ran.results[f"{name}-{zero}"].all_notes
    ]
    assert each == [each[0]] * RANKS
    return each[0]


HARMED = [
    (zero, case.name[:-2])
    for zero in (2, 3)
    for case in cases(zero)
    if case.name.partition("-")[0] in ("flip", "truncate", "remove")
]


@pytest.mark.parametrize("zero,name", HARMED)
def test_of_a_damaged_checkpoint_the_one_before_is_used(ran: Ran, zero: int, name: str) -> None:
    passed_over, resumed = told(ran, name, zero)
    file = name.partition("-")[2]
    assert passed_over.startswith(f"checkpoint {NEWEST} passed over: ")
    assert file in passed_over or file == "manifest.json"
    assert resumed.startswith("resumed at step 6 of ")
    whole(ran, name, zero)


@pytest.mark.parametrize("zero", [2, 3])
@pytest.mark.parametrize(
    "name,why", [("other-key", "it belongs to another stage"), ("other-format", "format 99, this code reads 2")]
)
def test_a_foreign_checkpoint_is_refused(ran: Ran, zero: int, name: str, why: str) -> None:
    assert told(ran, name, zero)[0] == f"checkpoint {NEWEST} passed over: {why}"
    whole(ran, name, zero)


@pytest.mark.parametrize("zero", [2, 3])
def test_with_all_damaged_it_starts_again_and_its_new_saves_are_kept(ran: Ran, zero: int) -> None:
    notes = told(ran, "both", zero)
    assert [note[: len(f"checkpoint {NEWEST}")] for note in notes[:2]] == [f"checkpoint {s}" for s in (NEWEST, BEFORE)]
    assert notes[2:] == ["no checkpoint is left to go on from: starting from the beginning"]
    whole(ran, "both", zero)
    whole(ran, "both-again", zero)


@pytest.mark.parametrize("zero", [2, 3])
def test_a_disk_that_is_full_for_one_rank_while_saving_stops_all(ran: Ran, zero: int) -> None:
    """First rank 1 has no room for its tensors, then rank 0: exit code 3, nothing half-published, and with room it ends."""
    for name in ("full-save", "full-state"):
        errors = ran.results[f"{name}-{zero}"].errors
        assert [error and error["error"] for error in errors] == ["BadEnvironment"] * RANKS, errors
        assert all(error and "the disk is full" in error["what"] for error in errors)
        assert not list(ran.results[f"{name}-{zero}"].out.iterdir())
    assert not told(ran, "full-state", zero), "there was no checkpoint to go on from, nor half of one"
    assert not told(ran, "freed-save", zero)
    work = ran.results[f"freed-save-{zero}"].out.parent.parent / f"full{zero}" / "work"
    assert sorted(path.name for path in work.iterdir()) == [BEFORE, NEWEST], "what was half-written is swept"


@pytest.mark.parametrize("zero", [2, 3])
def test_a_disk_that_is_full_when_the_result_is_written_stops_all(ran: Ran, zero: int) -> None:
    errors = ran.results[f"full-publish-{zero}"].errors
    assert [error and error["error"] for error in errors] == ["BadEnvironment"] * RANKS, errors
    assert told(ran, "freed-publish", zero)[0].startswith("resumed at step 7 of ")
    whole(ran, "freed-publish", zero)


@pytest.mark.parametrize("zero", [2, 3])
def test_a_loss_that_is_no_number_ends_all_ranks_with_the_rows_at_fault(ran: Ran, zero: int) -> None:
    errors = ran.results[f"nan-{zero}"].errors
    assert errors == [errors[0]] * RANKS
    error = errors[0]
    assert error is not None
    assert error["error"] == "StageFailed"
    assert re.search(r"(loss nan|norm (nan|inf)) .*; the batch held rows [0-9a-f]{16}(, [0-9a-f]{16})*$", error["what"])
    assert error["remedy"] == "lower optim.lr, or set optim.clip"


@pytest.mark.soak
@pytest.mark.parametrize("zero", [3])
def test_ranks_killed_while_they_save_leave_the_checkpoint_before(ran: Ran, zero: int) -> None:
    """Rank 1 dies when its tensors lie there and their digest does not; then rank 0 with all there but state and manifest."""
    root, saves = ran.bench.root, {"zero": zero, "checkpoint_steps": 3}
    mishap = "tests.w2s.work.mishaps:killed"
    first = Case("dies", saves, mishap=mishap, how={"rank": 1, "before": "_facts", "time": 2})
    failure = run_until_failure(root, RECIPE, ran.key, [first], RANKS)
    work = failure.work
    assert failure.died == [1]
    assert names(work) == ["part-000000006", "step-000000003"]
    assert (work / "part-000000006" / FILES[1]).exists()
    then = Case("dies", saves, work=str(work.parent), mishap=mishap, how={"rank": 0, "before": "_publish", "time": 2})
    assert run_until_failure(root, RECIPE, ran.key, [then], RANKS).died == [0]
    assert names(work) == ["part-000000009", "step-000000003", "step-000000006"]
    assert not (work / "part-000000009" / "manifest.json").exists()
    last = run(root, RECIPE, ran.key, [Case("ends", saves, work=str(work.parent))], RANKS)["ends"]
    assert next(note for note in last.notes if "resumed" in note).startswith("resumed at step 6 of ")
    assert weights(last.out) == weights(ran.results[f"unbroken-{zero}"].out)
    assert not list(work.glob("part-*")), "half-written checkpoints are swept by the next that is saved"


def names(work: Path) -> list[str]:
    return sorted(path.name for path in work.iterdir())
