"""A trial's reports: what its students tell, seed by seed and step by step; taken up again from the table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cluster.events import Event
from cluster.store import Store
from tests.w2s.search.searches import search_recipe
from w2s.search.course import Course
from w2s.search.measure import MARKS, Measure
from w2s.search.searched import load_searched
from w2s.search.table import Row
from w2s.search.trials import random_trials, trial_recipe


def course(folder: Path, row: Row | None = None) -> tuple[Course, Measure]:
    searched = load_searched(str(search_recipe(folder, {"seeds": [0, 1]})))
    (trial,) = random_trials(searched, 0, 1)
    return Course.of(trial, 7, trial_recipe(searched, trial), row), Measure(searched.search)


def tell(found: Course, seed: int, step: int, value: float, **marks: float) -> None:
    told: dict[str, Any] = {**dict.fromkeys(MARKS, value), **marks}
    for name, each in told.items():
        found.hear(Event("scalar", found.students[seed].key, {"name": f"eval/{name}", "value": each, "step": step}))


def test_a_report_is_one_evaluation_of_all_seeds(tmp_path: Path) -> None:
    found, measure = course(tmp_path)
    tell(found, 0, 5, 0.6)
    assert found.reports() == []
    tell(found, 1, 4, 0.8)
    tell(found, 1, 8, 0.9)
    (report,) = found.reports()
    assert (report[0]["step"], report[1]["step"]) == (5, 4), "halves may differ by a row, and steps with them"
    row = found.as_row(measure, Store.open(tmp_path / "store"), 1)
    assert row.reports[0]["objective"] == pytest.approx(0.7)
    assert row.metrics["objective"] == pytest.approx(0.7)
    assert row.number == 7
    assert len(row.keys["student"]) == len(row.keys["transfer"]) == 2


def test_an_evaluation_half_told_is_none_yet(tmp_path: Path) -> None:
    found, _ = course(tmp_path)
    tell(found, 0, 5, 0.6)
    key = found.students[1].key
    for name in MARKS[:-1]:
        found.hear(Event("scalar", key, {"name": f"eval/{name}", "value": 0.1, "step": 5}))
    assert found.reports() == []
    found.hear(Event("scalar", key, {"name": f"eval/{MARKS[-1]}", "value": 0.1, "step": 5}))
    assert len(found.reports()) == 1


def test_other_goals_and_other_scalars_are_passed_over(tmp_path: Path) -> None:
    found, _ = course(tmp_path)
    grade = found.grades[0].key
    found.hear(Event("scalar", grade, {"name": "eval/agreement", "value": 1.0, "step": 1}))
    found.hear(Event("scalar", found.students[0].key, {"name": "train/loss", "value": 1.0, "step": 1}))
    assert found.points == {}


def test_it_is_taken_up_from_its_row(tmp_path: Path) -> None:
    """Also where a student had diverged: its report keeps its place."""
    found, measure = course(tmp_path)
    for seed in (0, 1):
        tell(found, seed, 5, 0.5)
        tell(found, seed, 10, 0.6, loss=math.nan, misfit=math.nan)
    row = Row.from_json(found.as_row(measure, Store.open(tmp_path / "store"), 1).to_json())
    again, _ = course(tmp_path, row)
    assert [report[1]["step"] for report in again.reports()] == [5, 10]
    for seed in (0, 1):
        tell(again, seed, 15, 0.7)
    told = again.as_row(measure, Store.open(tmp_path / "store"), 2)
    assert [report["objective"] for report in told.reports] == pytest.approx([0.5, 0.6, 0.7])
    assert told.attempt == 2
    assert math.isnan(told.reports[1]["s0/misfit"] or 0.0), "no number, then and now"


def test_seconds_count_from_when_a_student_began(tmp_path: Path) -> None:
    """A trial that waits behind a thousand others costs nothing yet."""
    found, measure = course(tmp_path)
    store = Store.open(tmp_path / "store")
    assert found.as_row(measure, store, 1).seconds == 0.0
    found.hear(Event("started", found.students[0].key, {}))
    assert found.as_row(measure, store, 1).seconds > 0.0


def test_the_share_of_training_that_is_done(tmp_path: Path) -> None:
    found, measure = course(tmp_path)
    found.hear(Event("progress", found.students[0].key, {"done": 5, "total": 10, "unit": "step"}))
    assert found.as_row(measure, Store.open(tmp_path / "store"), 1).metrics["share"] == pytest.approx(0.25)
