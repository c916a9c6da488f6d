"""What is made of a table: the best by the objective alone, what that choice cost by the truth, the exit code, the best as a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.scheduler import Summary
from cluster.worker import Ended
from tests.w2s.search.searches import search_recipe
from w2s.load import load
from w2s.search.ending import Ending, best_recipe, conclude
from w2s.search.searched import load_searched
from w2s.search.table import Row, Table
from w2s.search.trials import Trial


def row(number: int, alpha: float, objective: float | None, truth: float | None = None, status: Any = "done") -> Row:
    overrides = {"method.alpha": alpha}
    metrics = {"objective": objective, **({} if truth is None else {"test_accuracy": truth})}
    return Row(Trial(overrides).key, number, overrides, status, metrics=metrics)


def ending(folder: Path, *rows: Row, **search: Any) -> Ending:
    return Ending(load_searched(str(search_recipe(folder, search))), folder, rows)


def test_the_best_is_chosen_by_the_objective_alone(tmp_path: Path) -> None:
    rows = row(0, 0.1, 0.8, 0.6), row(1, 0.2, 0.9, 0.5), row(2, 0.3, 0.7, 0.9), row(3, 0.4, 0.99, status="stopped")
    found = ending(tmp_path, *rows)
    assert found.best == rows[1]
    assert [each.number for each in found.judged] == [1, 0, 2], "a trial that was stopped is not judged"
    assert found.regret == pytest.approx(0.4)
    assert found.rank_correlation == pytest.approx(-1.0)


def test_a_tie_goes_to_the_earlier_and_no_number_to_nobody(tmp_path: Path) -> None:
    rows = row(0, 0.1, None), row(1, 0.2, 0.9), row(2, 0.3, 0.9)
    found = ending(tmp_path, *rows)
    assert found.best == rows[1]
    assert found.regret is None, "the truth is not known"
    assert found.rank_correlation is None


def test_nothing_finished_is_no_best(tmp_path: Path) -> None:
    found = ending(tmp_path, row(0, 0.1, 0.5, status="running"))
    assert found.best is None
    assert best_recipe(found) is None
    assert found.as_dict()["best"] is None


@pytest.mark.parametrize(
    "failed,interrupted,code", [([], False, 0), ([], True, 75), (["StageFailed"], False, 1), (["BadInput"], True, 2)]
)
def test_the_exit_code_is_that_of_the_run(tmp_path: Path, failed: list[str], interrupted: bool, code: int) -> None:
    ended = {
        str(n): Ended(str(n), "failed", error={"error": kind, "where": "", "what": "", "remedy": ""})
        for n, kind in enumerate(failed)
    }
    assert ending(tmp_path).exit_code(Summary({}, ended, interrupted)) == code
    old = ending(tmp_path, row(0, 0.1, None, status="failed"))
    assert old.exit_code(None) == 0, "a trial of another space, which nobody asks for now"


def test_the_best_as_a_recipe(tmp_path: Path) -> None:
    """The trial's own values and seeds, the recipe's baselines, no search; and it is legal."""
    searched = load_searched(str(search_recipe(tmp_path, {"seeds": [3, 4]}, baselines=["naive"])))
    folder = tmp_path / "found"
    with Table.open(folder, writing=True) as table:
        table.append(row(0, 0.25, 0.9))
        table.append(row(1, 0.5, 0.8))
    found = conclude(searched, folder)
    made = load(str(folder / "best.yaml"))
    best = best_recipe(found)
    assert best is not None
    assert made.method == best.method
    assert made.method.alpha == 0.25  # type: ignore[attr-defined]
    assert made.seeds == (3, 4)
    assert made.search is None
    assert [method.kind for method in made.baselines] == ["naive"]
    assert {stage.key for stage in best.goals()} <= set(made.graph())
    text = (folder / "best.yaml").read_text()
    assert text.startswith("# The best of 2 finished trials of toy.yaml, by agreement on held-out rows: 0.9000.\n")
    assert "its baselines are trained" in text
    assert yaml.safe_load(text)["name"] == "toy-best"
    assert (folder / "trials.parquet").exists()


def test_a_schedule_says_how_it_was_found(tmp_path: Path) -> None:
    searched = load_searched(str(search_recipe(tmp_path, {"algorithm": "pbt", "trials": 2, "rounds": 2})))
    folder = tmp_path / "found"
    with Table.open(folder, writing=True) as table:
        table.append(Row("member-0", 0, {"method.alpha": [0.1, 0.2]}, "done", metrics={"objective": 0.5}))
        table.append(row(0, 0.9, 0.99))
    conclude(searched, folder)
    assert load(str(folder / "best.yaml")).method.alpha == (0.1, 0.2)  # type: ignore[attr-defined]
    assert "trains it in one go" in (folder / "best.yaml").read_text()
