"""`w2s tune` as users call it: killed, stopped, out of budget, asked for what cannot be; what gc, plan and run make of a search."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.store import Store
from tests.w2s.command import built, finish, process, receipts, w2s, write_recipe
from tests.w2s.search.conftest import Searched, again, found  # noqa: F401 - fixtures
from tests.w2s.search.searches import SMALL, builds, folder_of, rows, search_recipe, tune
from tests.w2s.test_end_to_end import wait_for
from w2s.search.table import Table


def started(recipe: Path, store: Path, *more: str) -> Any:
    return process("tune", recipe, "--store", store, "--pool", "inline", "--plain", *more)


def objectives(store: Path) -> dict[str, Any]:
    return {key: (row.status, row.metrics["objective"], row.reports) for key, row in rows(store).items()}


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(found: Searched, tmp_path: Path) -> None:  # noqa: F811
    """SIGKILL three times, at moments drawn anew each time: nothing that was finished is built again, no trial is lost or doubled."""
    recipe, store = search_recipe(tmp_path), tmp_path / "store"
    draw, moments = random.SystemRandom(), []
    for _ in range(3):
        running = started(recipe, store)
        moments.append((draw.randrange(2, 8), draw.uniform(0, 0.3)))
        wait_for(running, " started ", moments[-1][0])
        time.sleep(moments[-1][1])
        running.kill()
        finish(running)
        kept = receipts(store)
        listed = (
            [row.trial for row in rows(store).values()]
            if (store / "searches").exists() and any((store / "searches").iterdir())
            else []
        )
        assert len(listed) == len(set(listed))
    done = tune(recipe, store)
    assert done.code == 0, (moments, done.err)
    assert kept.items() <= receipts(store).items(), moments
    begun = builds(store)
    assert sum(begun.values()) - len(begun) <= 3, f"each kill costs at most the stage it met: {moments}, {begun}"
    assert objectives(store) == objectives(found.store), moments
    assert receipts(store).keys() == receipts(found.store).keys()
    assert w2s("verify", "--store", store).code == 0


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_killed_on_ray_it_goes_on(found: Searched, tmp_path: Path) -> None:  # noqa: F811
    recipe, store = search_recipe(tmp_path), tmp_path / "store"
    running = process("tune", recipe, "--store", store, "--plain")
    wait_for(running, "labels, confidence", random.SystemRandom().randrange(1, 6))
    running.kill()
    finish(running)
    kept = receipts(store)
    done = finish(process("tune", recipe, "--store", store, "--plain"), 200)
    assert done.code == 0, done.err
    assert kept.items() <= receipts(store).items()
    assert objectives(store) == objectives(found.store)
    assert receipts(store).keys() == receipts(found.store).keys()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_leaves(again: Searched, number: signal.Signals) -> None:  # noqa: F811
    recipe, store = again.recipe({"trials": 1}, strong__epochs=12, name="long"), again.store
    shutil.rmtree(store / "searches")
    running = started(recipe, store)
    wait_for(running, "labels, confidence", 4)  # the recipe's own student: it is begun and done; then the trial's
    time.sleep(0.3)
    running.send_signal(number)
    stopped = finish(running)
    assert stopped.code == 75, stopped.err
    assert "Traceback" not in stopped.err
    assert "stopping: running stages save where they are" in stopped.err
    kept = receipts(store)
    done = tune(recipe, store)
    assert done.code == 0, done.err
    assert kept.items() <= receipts(store).items()
    assert [row.status for row in rows(store).values()] == ["done"]


def test_a_spent_budget_is_no_failure(again: Searched) -> None:  # noqa: F811
    store = again.store
    spent = again.recipe({"trials": 5, "budget": {"minutes": 0.0001}})
    done = tune(spent, store, "--json")
    assert done.code == 0, done.err
    assert "the budget of 0.0001 minutes is used up" in done.err
    assert len(receipts(store)) == len(receipts(again.store))
    assert done.json["trials"]["done"] == 3
    hours = again.recipe({"trials": 5, "budget": {"device_hours": 0.00001}})
    first = tune(hours, store, "--json")
    assert first.code == 0, first.err
    assert "device-hours is used up" in first.err
    whole = tune(again.recipe({"trials": 5}), store, "--json")
    assert whole.code == 0, whole.err
    assert whole.json["trials"] == {"done": 5, "stopped": 0, "failed": 0, "running": 0}
    assert set(builds(store).values()) == {1}


# ---- what is done with it


def test_the_best_is_a_recipe_whose_stages_are_there(again: Searched) -> None:  # noqa: F811
    table = folder_of(again.store)
    ran = w2s("run", table / "best.yaml", "--store", again.store, "--pool", "inline")
    assert ran.code == 0, ran.err
    assert "started" not in ran.err
    assert w2s("check", table / "best.yaml").code == 0


def test_gc_keeps_what_trials_have(again: Searched) -> None:  # noqa: F811
    before = receipts(again.store)
    recipe = again.recipe()
    done = w2s("gc", recipe, "--store", again.store, "--json")
    assert done.code == 0, done.err
    assert done.json["results"] == []
    assert receipts(again.store) == before
    other = w2s("gc", write_recipe(again.folder, "other.yaml"), "--store", again.store, "--dry-run", "--json").json
    assert len(other["results"]) > 9, "what no recipe names goes"
    without = write_recipe(again.folder, "toy.yaml", **SMALL)
    assert len(w2s("gc", without, "--store", again.store, "--dry-run", "--json").json["results"]) == 3 * 3


def test_gc_keeps_the_checkpoint_of_a_stopped_trial(again: Searched) -> None:  # noqa: F811
    """Its student has no receipt yet, so what it needs (a supervisor of its own) is known from its recipe alone."""
    recipe = again.recipe({"space": {"weak.optim.lr": [1e-3, 2e-3]}, "algorithm": "grid"})
    assert tune(recipe, again.store, "--quiet").code == 0
    last = list(rows(again.store).values())[-1]
    (student,), (grade,) = last.keys["student"], last.keys["transfer"]
    (predicted,) = Store.open(again.store).receipt(grade).inputs.keys() & above(again.store, student)
    for key in (student, predicted, grade):
        shutil.rmtree(again.store / key[:2] / key)
    (again.store / "scratch" / student / "work").mkdir(parents=True)
    with Table.open(folder_of(again.store), writing=True) as writing:
        writing.append(type(last)(**{**vars(last), "status": "stopped"}))
    assert w2s("gc", recipe, "--store", again.store, "--json").json["results"] == []
    assert (again.store / "scratch" / student / "work").is_dir()


def above(store: Path, key: str) -> set[str]:
    """The results that were made from one, directly."""
    opened = Store.open(store)
    return {other for other in receipts(store) if key in opened.receipt(other).inputs}


def test_plan_says_what_sharing_leaves_to_do(again: Searched, tmp_path: Path) -> None:  # noqa: F811
    new = w2s("plan", again.recipe(), "--store", again.store).out
    assert "search (random): 3 trials with " in new
    assert ", 0 to run; as separate runs they would be " in new
    told = w2s("plan", again.recipe({"trials": 5}), "--store", again.store, "--json").json["search"]
    assert told["trials"] == 5
    assert told["to_run"] == 2 * 3, "student, prediction and grade of two"
    assert told["apart"] == 5 * (told["stages"] - 5 * 3)
    grown = w2s("plan", again.recipe({"algorithm": "optuna"}), "--store", again.store).out
    assert "search (optuna): 16 trials\n" in grown
    assert w2s("status", again.recipe(), "--store", again.store).code == 0


# ---- bad input


def fails(recipe: Path, store: Path, *more: str) -> str:
    done = w2s("tune", recipe, "--store", store, *more)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    (line,) = done.err.strip().splitlines()
    return line


def test_what_cannot_be_is_told_in_a_line(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "has no search section, so there is nothing to vary" in fails(write_recipe(tmp_path), store)
    assert "--resume: no such search has begun" in fails(search_recipe(tmp_path), store, "--resume", "--pool", "inline")
    grid = search_recipe(tmp_path, {"space": {"method.warmup": [0.1, 0.5]}, "algorithm": "grid"})
    assert "--extend: a grid has as many trials as it has" in fails(grid, store, "--extend", "3")
    breeds = search_recipe(tmp_path, {"algorithm": "pbt", "trials": 4})
    assert "--extend: a population keeps its size" in fails(breeds, store, "--extend", "3")
    assert "--pool inline: pbt needs Ray Tune" in fails(breeds, store, "--pool", "inline")
    early = search_recipe(tmp_path, {"scheduler": "asha"})
    assert "--pool inline: asha needs Ray Tune" in fails(early, store, "--pool", "inline")
    assert "--extend: -3 trials more are none" in fails(search_recipe(tmp_path), store, "--extend", "-3")
    assert not list((store / "searches").glob("*")), "nothing has begun"


def test_resume_goes_on_with_what_there_is(again: Searched) -> None:  # noqa: F811
    assert tune(again.recipe(), again.store, "--resume").code == 0


def test_damaged_lines_are_told_and_their_trials_done_again(again: Searched) -> None:  # noqa: F811
    file = folder_of(again.store) / "trials.jsonl"
    text = file.read_text().splitlines()
    last = json.loads(text[-1])["trial"]
    spoilt = [line[:-30] if json.loads(line)["trial"] == last else line for line in text]
    file.write_text("\n".join(spoilt) + "\n")
    done = tune(again.recipe(), again.store, "--plain")
    assert done.code == 0, done.err
    assert "damaged and passed over" in done.err.replace("\n", " ")
    assert rows(again.store)[last].status == "done"
    assert set(builds(again.store).values()) == {1}, "its stages are there"
    assert len(built(again.store)) == len(builds(again.store))


def test_another_driver_at_work_is_told(again: Searched) -> None:  # noqa: F811
    with Table.open(folder_of(again.store), writing=True):
        done = tune(again.recipe(), again.store)
    assert done.code == 3
    assert "is at work on this search" in done.err
    assert tune(again.recipe(), again.store).code == 0
