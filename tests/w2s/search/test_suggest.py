"""Optuna as a source of trials: it learns, it is told the past, it draws nothing twice, over spaces that grow with what is drawn."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from tests.w2s.search.conftest import Searched
from tests.w2s.search.searches import rows, search_recipe, tune
from w2s.search.drive import Book
from w2s.search.searched import Searched as Written
from w2s.search.searched import load_searched
from w2s.search.suggest import OptunaSuggester
from w2s.search.table import Row
from w2s.search.trials import Trial


def optuna(folder: Path, space: dict[str, Any] | None = None, **changes: Any) -> Written:
    search = {"algorithm": "optuna", "trials": 30, **({"space": space} if space else {})}
    return load_searched(str(search_recipe(folder, search, **changes)))


def row(trial: Trial, number: int, objective: float | None, status: Any = "done") -> Row:
    return Row(trial.key, number, dict(trial.overrides), status, metrics={"objective": objective})


def play(suggester: OptunaSuggester, book: Book, count: int) -> list[float]:
    """Rigged: the nearer alpha is to 0.7 the better. Returns the alphas in order."""
    found = []
    for _ in range(count):
        key = suggester.suggest()
        assert key is not None
        alpha = float(book.trials[key].overrides["method.alpha"])
        suggester.tell(key, -abs(alpha - 0.7))
        found.append(alpha)
    return found


def test_later_draws_are_nearer_to_the_best(tmp_path: Path) -> None:
    searched, book = optuna(tmp_path), Book()
    alphas = play(OptunaSuggester(searched, book), book, 40)
    assert len(set(alphas)) == len(book.trials) == 40
    assert statistics.mean(abs(a - 0.7) for a in alphas[20:]) < statistics.mean(abs(a - 0.7) for a in alphas[:10]) * 0.7


def test_it_is_told_the_past(tmp_path: Path) -> None:
    """Going on from a table of thirty trials, its first draws are as good as those of a search that never ended."""
    searched, book = optuna(tmp_path), Book()
    play(OptunaSuggester(searched, book), book, 30)
    past = {
        key: row(trial, n, -abs(float(trial.overrides["method.alpha"]) - 0.7))
        for n, (key, trial) in enumerate(book.trials.items())
    }
    after = Book.of(past)
    drawn = play(OptunaSuggester(searched, after), after, 8)
    assert statistics.mean(abs(alpha - 0.7) for alpha in drawn) < 0.15
    assert len(after.trials) == 38, "nothing of the past is drawn again"
    other = Book.of(past)
    assert play(OptunaSuggester(searched, other), other, 8) == drawn, "going on draws alike each time"


def test_a_trial_of_the_past_that_ends_now_is_learned_from_once(tmp_path: Path) -> None:
    searched = optuna(tmp_path)
    done, open_ = Trial({"method.alpha": 0.1}), Trial({"method.alpha": 0.7})
    book = Book.of({done.key: row(done, 0, -0.6), open_.key: row(open_, 1, None, "running")})
    suggester = OptunaSuggester(searched, book, first=[done.key, open_.key])
    assert [suggester.suggest(), suggester.suggest()] == [done.key, open_.key]
    suggester.tell(done.key, -0.6)
    suggester.tell(open_.key, 0.0)
    assert sorted(trial.value for trial in suggester._study.trials) == [-0.6, 0.0]


def test_what_told_no_number_teaches_nothing(tmp_path: Path) -> None:
    searched, book = optuna(tmp_path), Book()
    suggester = OptunaSuggester(searched, book)
    for objective in (None, float("nan"), float("-inf")):
        key = suggester.suggest()
        assert key is not None
        suggester.tell(key, objective)
    assert suggester.suggest() is not None
    assert not [trial for trial in suggester._study.trials if trial.value is not None]


def test_a_space_that_is_used_up_ends_it(tmp_path: Path) -> None:
    searched, book = optuna(tmp_path, {"method.warmup": [0.1, 0.5]}), Book()
    suggester = OptunaSuggester(searched, book)
    drawn = [suggester.suggest() for _ in range(3)]
    assert None not in drawn[:2]
    assert drawn[2] is None


def test_spaces_whose_size_depends_on_a_draw(tmp_path: Path) -> None:
    """A chain of one to three rungs, each with its epochs; the past is told whatever it holds."""
    space = {
        "method.chain": {"choice": [["strong"], ["weak", "strong"], ["weak", "weak", "strong"]]},
        "method.chain.*.epochs": {"uniform": [1, 3]},
    }
    searched, book = optuna(tmp_path, space, method={"kind": "bootstrap"}), Book()
    suggester = OptunaSuggester(searched, book)
    for _ in range(15):
        key = suggester.suggest()
        assert key is not None
        drawn = book.trials[key].overrides
        rungs = len(drawn["method.chain"])
        assert set(drawn) == {"method.chain", *(f"method.chain.{place}.epochs" for place in range(rungs))}
        suggester.tell(key, rungs - abs(float(drawn[f"method.chain.{rungs - 1}.epochs"]) - 2))
    assert {len(trial.overrides["method.chain"]) for trial in book.trials.values()} == {1, 2, 3}
    past = Book.of({key: row(trial, n, 0.5) for n, (key, trial) in enumerate(book.trials.items())})
    assert len(OptunaSuggester(searched, past)._study.trials) == 15


def test_a_past_of_another_space_is_passed_over(tmp_path: Path) -> None:
    before = Trial({"method.warmup": 0.2})
    book = Book.of({before.key: row(before, 0, 0.4)})
    suggester = OptunaSuggester(optuna(tmp_path), book)
    assert not suggester._study.trials
    assert suggester.suggest() is not None


def test_a_search_by_optuna_goes_on_and_grows(again: Searched) -> None:
    """The three random trials of the table are its past; a kill, and more trials, add what is missing and nothing else."""
    recipe = again.recipe({"algorithm": "optuna", "trials": 4})
    assert tune(recipe, again.store, "--quiet").code == 0
    before = rows(again.store)
    assert [row.status for row in before.values()] == ["done"] * 4
    table = next((again.store / "searches").iterdir()) / "trials.jsonl"
    told = table.read_text()
    assert tune(recipe, again.store, "--quiet").code == 0
    assert table.read_text() == told

    last = list(before.values())[-1]
    broken = [json.loads(line) for line in told.splitlines()]
    kept = [line for line in broken if line["trial"] != last.trial or line["status"] == "running"]
    table.write_text("".join(json.dumps(line) + "\n" for line in kept))  # as a kill leaves it
    assert tune(recipe, again.store, "--quiet").code == 0
    assert rows(again.store)[last.trial].status == "done"
    assert tune(recipe, again.store, "--extend", "1", "--quiet").code == 0
    after = rows(again.store)
    assert len(after) == 5
    assert before.keys() <= after.keys()
