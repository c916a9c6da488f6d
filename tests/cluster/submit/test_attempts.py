"""The journal of attempts, and when trying again is of no use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.submit.attempts import Attempts, is_futile, read
from cluster.submit.drivers import together


def attempt(folder: Path, progress: float | None, *, up: bool = True) -> Attempts:
    """An attempt that gets so far."""
    made = Attempts(folder, "7", ["w1"], commands=2)
    made.tell("begun")
    if up:
        made.tell("up", address="10.0.0.1:6379")
    if progress is not None:
        (folder / "run-1.json").write_text(json.dumps({"progress": progress}))
    return made


def test_each_attempt_finds_what_the_ones_before_it_wrote(tmp_path: Path) -> None:
    attempt(tmp_path, 1.0)
    with open(tmp_path / "attempts.jsonl", "a") as file:
        file.write('{"attempt": 1, "wh')  # its node died in the middle of a line
        file.write("\n")
    second = attempt(tmp_path, 1.5)
    second.tell("ended", "words", exit_code=3)
    assert second.number == 2
    assert second.folder == tmp_path / "attempt-2"
    rows = read(tmp_path)
    assert [(row["attempt"], row["what"]) for row in rows] == [
        (1, "begun"),
        (1, "up"),
        (2, "begun"),
        (2, "up"),
        (2, "ended"),
    ]
    assert [row["progress"] for row in rows] == [None, None, 1.0, 1.0, 1.5]
    last = {"slurm_job": "7", "nodes": ["w1"], "address": "10.0.0.1:6379", "detail": "words", "exit_code": 3}
    assert rows[-1].items() >= last.items()


def test_the_progress_of_several_drivers_is_added_up(tmp_path: Path) -> None:
    made = attempt(tmp_path, 2.0)
    (tmp_path / "run-0.json").write_text(json.dumps({"progress": 0.5}))
    assert made.progress() == 2.5
    (tmp_path / "run-0.json").write_text("torn")
    assert made.progress() == 2.0


@pytest.mark.parametrize(
    ("reached", "futile"),
    [
        ([None, 0.0], False),
        ([None, 0.0, 0.0], True),
        ([None, 1.0, 1.0], False),
        ([None, 1.0, 1.0, 1.0], True),
        ([None, 2.9, 2.6, 2.7], False),  # the first was killed with work unsaved; since then it goes on
        ([None, 1.0, 1.0, 1.1], False),
        ([None, None, None], False),  # drivers that say nothing are no evidence
        ([0.0, 1.0, None], False),
    ],
)
def test_futile(reached: list[float | None], futile: bool) -> None:
    assert is_futile(reached) is futile


def test_an_attempt_that_ended_before_its_drivers_ran_does_not_count(tmp_path: Path) -> None:
    attempt(tmp_path, 1.0)
    assert not attempt(tmp_path, None, up=False).futile()
    assert not attempt(tmp_path, None, up=False).futile()
    assert not attempt(tmp_path, 1.0).futile()
    assert attempt(tmp_path, 1.0).futile()


@pytest.mark.parametrize(
    ("codes", "code"), [([0, 0], 0), ([0, 5, 3], 5), ([1, 75], 75), ([0, -10], 75), ([-9, 0], 137), ([], 0)]
)
def test_several_drivers_have_one_exit_code(codes: list[int], code: int) -> None:
    assert together(codes) == code
