"""`w2s check` of a recipe that has a search: what it says of a legal one (`test_bad_search` has the illegal ones)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput
from tests.w2s.command import w2s, write_recipe
from tests.w2s.conftest import Finished
from w2s.search.check import check_search
from w2s.search.searched import load_searched

ALPHA: dict[str, Any] = {"method.alpha": {"uniform": [0, 0.9]}, "method.warmup": {"uniform": [0, 0.5]}}


def test_check_says_what_would_be_searched(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, search={"space": ALPHA, "trials": 32, "scheduler": "asha"})
    done = w2s("check", file)
    assert done.code == 0, done.err
    assert done.out.splitlines()[1:] == [
        "  search: 32 trials over method.alpha, method.warmup; random, asha; objective agreement"
    ]
    assert w2s("check", file, "--json").json["search"] == {
        "trials": 32,
        "space": ["method.alpha", "method.warmup"],
        "algorithm": "random",
        "scheduler": "asha",
        "objective": "agreement",
        "oracle": False,
        "seeds": [0],
    }


def test_an_oracle_is_marked(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, search={"space": ALPHA, "objective": "oracle"})
    assert "objective oracle (ground truth: a bound, no honest choice)" in w2s("check", file).out
    assert w2s("check", file, "--json").json["search"]["oracle"] is True


def test_a_recipe_without_a_search_says_nothing_of_it(tmp_path: Path) -> None:
    file = write_recipe(tmp_path)
    assert "search" not in w2s("check", file).out
    assert "search" not in w2s("check", file, "--json").json
    with pytest.raises(BadInput, match="has no search section"):
        load_searched(str(file))


@pytest.mark.parametrize(
    "search,expected",
    [
        ({"space": {"method.warmup": [0, 0.2, 0.5]}, "algorithm": "grid"}, "3 trials over method.warmup; grid, fifo"),
        ({"space": ALPHA, "algorithm": "optuna"}, "16 trials over method.alpha, method.warmup; optuna, fifo"),
        ({"space": {"method.alpha": {"uniform": [0, 1]}}, "algorithm": "pbt"}, "16 trials over method.alpha; pbt; "),
        ({"space": ALPHA, "scheduler": "hyperband"}, "random, hyperband"),
        ({"space": ALPHA, "scheduler": "median"}, "random, median"),
    ],
)
def test_what_goes_together(search: dict[str, Any], expected: str, tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, search=search))
    assert done.code == 0, done.err
    assert expected in done.out


def test_a_schedule_over_chains_of_three_lengths(tmp_path: Path) -> None:
    space = {
        "method.chain": [["strong"], ["weak", "strong"], ["weak", "weak", "strong"]],
        "method.chain.*.epochs": {"uniform": [1, 4]},
        "method.chain.1.lr": {"loguniform": [1e-4, 1e-2]},
    }
    done = w2s("check", write_recipe(tmp_path, method="bootstrap", baselines=[], search={"space": space}))
    assert done.code == 0, done.err


def test_every_trial_is_looked_at_and_told(tmp_path: Path) -> None:
    """A value that only a trial deep in the search draws is found all the same: its corners are legal."""
    space = {"strong.batch": {"integers": [16, 64]}}
    changes = {"machines": {"strong": {"devices": 2, "micro_batch": 8}}, "baselines": []}
    file = write_recipe(tmp_path, search={"space": space, "trials": 8}, **changes)
    told: list[tuple[int, int]] = []
    with pytest.raises(BadInput, match="in the trial batch="):
        check_search(load_searched(str(file)), lambda done, total: told.append((done, total)))
    assert len(told) >= 2, "the corners, 16 and 64, divide"
    file = write_recipe(
        tmp_path, search={"space": {"strong.batch": {"integers": [16, 64], "step": 16}}, "trials": 4}, **changes
    )
    told.clear()
    checked = check_search(load_searched(str(file)), lambda done, total: told.append((done, total)))
    assert told == [(done, checked.recipes) for done in range(1, checked.recipes + 1)]
    assert checked.trials == 4


def test_a_thousand_trials_take_seconds(tmp_path: Path) -> None:
    found = load_searched(str(write_recipe(tmp_path, search={"space": ALPHA, "trials": 1000})))
    began = time.process_time()
    assert check_search(found).trials == 1000
    assert time.process_time() - began < 15  # about 1.5 on an idle core


def test_run_does_the_recipe_as_written(copied: Finished, tmp_path: Path) -> None:
    """A search changes no stage: all there is to do was done by the run of the recipe without one."""
    file = write_recipe(tmp_path, search={"space": ALPHA})
    done = w2s("run", file, "--store", copied.store, "--pool", "inline")
    assert done.code == 0, done.err
    assert "`w2s tune` does its search" in done.err
    assert "0 stages run" in done.out
    assert "tune" not in w2s("run", file, "--store", copied.store, "--pool", "inline", "--quiet").err
