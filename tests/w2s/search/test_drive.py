"""The search at work: what trials share is built once; the same command again, more trials, a wider space; what fails fails alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.advice import Ask, Reply
from cluster.events import Event
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from tests.w2s.command import receipts
from tests.w2s.search.conftest import Searched
from tests.w2s.search.searches import builds, lines, rows, search_recipe, trained, tune
from w2s.search.drive import Book, Driver
from w2s.search.searched import load_searched, search_folder
from w2s.search.table import Table
from w2s.search.trials import random_trials, students, trial_recipe

STRONG_CEILING = "32x2 on strong (truth"


def test_what_trials_share_is_built_once(found: Searched) -> None:
    """Supervisor, labels, floor and ceiling: once; of a trial no more than its student and its grade."""
    assert found.done.code == 0, found.done.err
    assert set(builds(found.store).values()) == {1}
    names = trained(found.store)
    shares = [
        sum(part in name for name in names) for part in ("labels, confidence", "8x1 on weak (truth", STRONG_CEILING)
    ]
    assert shares == [3 + 1, 1, 1], "three trials, and the recipe as it is written"
    grades = [name for name in builds(found.store) if "/grade" in name]
    assert len(grades) == 3 + 3, "each trial's; floor, transfer and ceiling of the recipe"
    for row in rows(found.store).values():
        assert row.status == "done"
        assert {"objective", "agreement", "misfit", "confidence", "test_accuracy", "share"} <= set(row.metrics)
        assert [report["rung"] for report in row.reports] == [1, 2]


def test_trials_that_change_the_strong_model_have_no_ceiling_either(again: Searched) -> None:
    recipe = again.recipe({"space": {"strong.optim.lr": [1e-3, 2e-3]}, "algorithm": "grid"})
    assert tune(recipe, again.store, "--quiet").code == 0
    assert sum(STRONG_CEILING in name for name in trained(again.store)) == 1
    assert sum("8x1 on weak (truth" in name for name in trained(again.store)) == 1
    assert len(rows(again.store)) == 3 + 2


def test_the_same_command_again_does_nothing(again: Searched) -> None:
    kept, told = receipts(again.store), lines(again.store)
    done = tune(again.recipe(), again.store, "--json")
    assert done.code == 0
    assert "started" not in done.err
    assert done.json["trials"]["done"] == 3
    assert (receipts(again.store), lines(again.store)) == (kept, told)


def test_more_trials_join_and_nothing_is_trained_again(again: Searched) -> None:
    before, kept = rows(again.store), receipts(again.store)
    extended = tune(again.recipe(), again.store, "--extend", "2")
    assert extended.code == 0, extended.err
    after = rows(again.store)
    assert before.items() <= after.items()
    assert [row.number for row in after.values()] == [0, 1, 2, 3, 4]
    assert kept.items() <= receipts(again.store).items()
    assert set(builds(again.store).values()) == {1}
    told = lines(again.store)
    assert tune(again.recipe(), again.store, "--extend", "2").code == 0
    assert lines(again.store) == told, "asked twice it is the same search: one that was broken off is taken up so"


def test_a_wider_space_keeps_what_is_there(again: Searched) -> None:
    before = rows(again.store)
    wider = {"space": {"method.alpha": {"uniform": [0, 0.9]}, "method.warmup": [0.1, 0.5]}, "trials": 2}
    done = tune(again.recipe(wider), again.store, "--json")
    assert done.code == 0, done.err
    assert before.items() <= rows(again.store).items()
    assert done.json["trials"] == {"done": 5, "stopped": 0, "failed": 0, "running": 0}
    assert set(builds(again.store).values()) == {1}


def test_a_failed_trial_fails_alone_and_is_tried_again(again: Searched) -> None:
    """A rate of learning that breaks the student."""
    recipe = again.recipe({"space": {"strong.optim.lr": [1e-3, 1e30]}, "algorithm": "grid"}, name="broken")
    store = again.store
    shutil.rmtree(store / "searches")
    done = tune(recipe, store, "--json")
    assert done.code == 1, done.err
    assert sorted(row.status for row in rows(store).values()) == ["done", "failed"]
    failed = next(row for row in rows(store).values() if row.status == "failed")
    assert "loss" in str(failed.metrics["why"])
    assert done.json["best"]["overrides"] == {"strong.optim.lr": 1e-3}
    assert failed.keys["student"], "what it would have trained is known"
    tries = builds(store)
    again = tune(recipe, store)
    assert again.code == 1
    assert sum(builds(store).values()) == sum(tries.values()) + 2, (
        "the student that failed, with its retry, and nothing else"
    )
    assert rows(store)[failed.trial].attempt == failed.attempt + 1


# ---- the driver alone, with an adviser that does as it is told


class Stages:
    """An adviser that asks for one rung after another of each trial, and lets go when told so."""

    def __init__(self, trials: list[str], stop: Callable[[str, int], bool], rungs: int = 100) -> None:
        self._next = [Ask(f"{trial}/1", 1, trial) for trial in trials]
        self._open, self._stop, self._rungs = set(trials), stop, rungs
        self._gone: list[tuple[str, int]] = []
        self.replies: dict[str, list[Reply]] = {trial: [] for trial in trials}

    def asks(self) -> list[Ask]:
        new, self._next = self._next, []
        return new

    def tell(self, ask: Ask, reply: Reply) -> None:
        self.replies[ask.trial].append(reply)
        if reply.last or reply.failed:
            self._open.discard(ask.trial)
        elif self._stop(ask.trial, ask.rung):
            self._open.discard(ask.trial)
            self._gone.append((ask.trial, ask.rung))
        else:
            self.ask(ask.trial, ask.rung + 1)

    def ask(self, trial: str, rung: int) -> None:
        self._open.add(trial)
        self._next.append(Ask(f"{trial}/{rung}", rung, trial))

    def let_go(self) -> list[tuple[str, int]]:
        gone, self._gone = self._gone, []
        return gone

    @property
    def over(self) -> bool:
        return not self._open

    def close(self) -> None:
        self._open = set()


class Bench:
    """A search on a store, in this process, with any adviser."""

    def __init__(self, recipe: Path, store: Path, *, continuing: bool = False) -> None:
        self.searched, self.store = load_searched(str(recipe)), Store.open(store)
        self.folder = search_folder(self.store, self.searched)
        self.continuing = continuing
        self.events: list[Event] = []
        self.at: Callable[[Event, Scheduler], None] = lambda event, scheduler: None
        self.trials = random_trials(self.searched, 0, self.searched.search.trials)

    def run(self, adviser: Any) -> Summary:
        with Table.open(self.folder, writing=True) as table, self.store.leases() as leases:
            book = Book.of(table.rows())
            for trial in self.trials:
                book.add(trial)
            driver = Driver(self.searched, self.store, table, book, self._hear, continuing=self.continuing)
            self._scheduler = Scheduler(self.store, InlinePool(self.store.url), leases, driver.hear)
            driver.scheduler = self._scheduler
            return driver.run(self._scheduler, adviser)

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self.at(event, self._scheduler)

    def student(self, number: int) -> str:
        (student,) = students(trial_recipe(self.searched, self.trials[number])).values()
        return student.key


def test_what_was_stopped_stays_so_or_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    recipe, store = search_recipe(tmp_path, {"trials": 1}, strong__epochs=6), tmp_path / "store"
    bench = Bench(recipe, store)
    (trial,) = (each.key for each in bench.trials)
    stages = Stages([trial], lambda trial, rung: False)
    seen = 0

    def stop_it(event: Event, scheduler: Scheduler) -> None:
        nonlocal seen
        seen += event.key == bench.student(0) and event.data.get("name") == "eval/agreement"
        if seen == 3:
            seen += 1
            scheduler.stop()

    bench.at = stop_it
    assert bench.run(stages).exit_code == 75
    row = rows(store)[trial]
    assert row.status == "running", "broken off is not judged"
    assert len(row.reports) == 3

    with Table.open(bench.folder, writing=True) as table:  # as if its adviser had let it go
        table.append(type(row)(**{**vars(row), "status": "stopped"}))
    kept = receipts(store)
    stays = Stages([trial], lambda trial, rung: False)
    assert Bench(recipe, store).run(stays).exit_code == 0
    assert [reply.last for reply in stays.replies[trial]] == [False, False, True], "answered by the table alone"
    assert receipts(store).keys() - kept.keys() <= set(load_searched(str(recipe)).base_recipe.graph())
    assert rows(store)[trial].status == "stopped"

    on = Stages([trial], lambda trial, rung: False)
    assert Bench(recipe, store, continuing=True).run(on).exit_code == 0
    assert len(on.replies[trial]) == 7
    assert [reply.objective for reply in on.replies[trial]][:3] == [report["objective"] for report in row.reports]
    whole = rows(store)[trial]
    assert (whole.status, len(whole.reports)) == ("done", 6)
    assert "resumed at step" in (store / "logs" / f"{bench.student(0)}.log").read_text()


def test_a_stop_between_two_stages_is_told_as_one(again: Searched) -> None:
    """Nothing runs and everything that waits is dropped; still the search is not at its end."""
    recipe = again.recipe({"trials": 4})
    bench = Bench(recipe, again.store)

    def stop_after(event: Event, scheduler: Scheduler) -> None:
        if event.kind == "done" and event.key == bench.student(3):
            scheduler.stop()

    bench.at = stop_after
    assert bench.run(Stages([each.key for each in bench.trials], lambda trial, rung: False)).exit_code == 75
    assert tune(recipe, again.store, "--quiet").code == 0
    assert set(builds(again.store).values()) == {1}


def test_trials_with_one_student_hear_the_same(again: Searched) -> None:
    """How one supervisor's labels are combined changes nothing: such trials have one student, which is trained once."""
    recipe = again.recipe(
        {"space": {"method.combine": ["mean_prob", "mean_logit"], "method.alpha": [0.2]}, "algorithm": "grid"}
    )
    assert tune(recipe, again.store, "--quiet").code == 0
    one, other = [row for row in rows(again.store).values() if "method.combine" in row.overrides]
    assert one.keys == other.keys
    assert one.reports == other.reports
    assert set(builds(again.store).values()) == {1}


def test_the_table_tells_what_was_measured(tmp_path: Path) -> None:
    """Reports are the student's curve; the objective is of the step that was kept."""
    recipe, store = search_recipe(tmp_path, {"trials": 1, "seeds": [0, 1]}), tmp_path / "store"
    assert tune(recipe, store).code == 0
    (row,) = rows(store).values()
    curves = [json.loads((store / key[:2] / key / "curve.json").read_text()) for key in row.keys["student"]]
    for place, report in enumerate(row.reports):
        for seed, curve in enumerate(curves):
            assert report[f"s{seed}/agreement"] == curve[place]["agreement"]
            assert report[f"s{seed}/step"] == curve[place]["step"]
        assert report["objective"] == pytest.approx(sum(curve[place]["agreement"] for curve in curves) / 2)
    seconds = [
        json.loads((store / key[:2] / key / "receipt.json").read_text())["seconds"] for key in row.keys["student"]
    ]
    assert row.seconds == pytest.approx(sum(seconds))
    assert row.metrics["share"] == 1
