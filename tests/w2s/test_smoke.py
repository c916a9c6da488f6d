"""Every packaged recipe runs: its methods, optimizers, schedules, selection and losses on tiny models and a toy task.

What is swapped is what cannot be here: the data, the models (one of the same family of pretrained models), long texts, many
seeds, many devices. What a recipe says of how to learn stays as it is, but for the number of epochs and steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from w2s import bridge
from w2s.load import load, packaged_names
from w2s.recipe import Recipe

RUN_ELSEWHERE = {"quickstart", "zero_two_ranks"}  # whole, with their real models, by hand; and as gangs in tests/chaos
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def tiny(model: dict[str, Any], depth: int) -> dict[str, Any]:
    """A tiny model of the family: what a recipe asks of layers by name (LoRA) must be there."""
    family = "gpt2" if str(model["source"]).startswith("gpt2") else "llama"
    return {"source": f"tiny:{family}", "width": 16, "depth": depth}


def smoke(name: str) -> Recipe:
    """The recipe, made small."""
    told = load(name).model_dump(mode="json")
    candidates = told["task"].get("form") in ("candidates", "pair") or told["task"]["kind"] == "pairs"
    told["task"] = {"kind": "toy", "size": 160, "n_test": 40, "pairs": candidates}
    for side, depth in (("weak", 1), ("strong", 2)):
        learner = told[side]
        learner |= {"model": tiny(learner["model"], depth), "max_tokens": 48}
        if learner["probe"]:
            learner["probe"]["steps"] = 20
        else:
            learner |= {"epochs": 1, "batch": min(learner["batch"], 16)}
        if learner["evaluate"] not in ("never", "epoch"):
            learner["evaluate"] = 3
        if learner["head_words"]:
            learner["head_words"] = ["a", "b"]
    for method in (told["method"], *told["baselines"]):
        for rung in method.get("chain", []):
            rung |= {"epochs": None} | ({"model": tiny(rung["model"], 1)} if rung["model"] else {})
        if method.get("neighbours") and method.get("by") in ("knn", "topological"):
            method["neighbours"] = 5
        method |= {"members": min(2, method["members"])}
    told |= {"seeds": [0], "machines": {}}
    return Recipe.model_validate(told)


@pytest.mark.parametrize("name", sorted(set(packaged_names()) - RUN_ELSEWHERE))
def test_it_runs_small(name: str, tmp_path: Path) -> None:
    made = smoke(name)
    store = Store.open(tmp_path / "store")
    with store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(store.url), leases, lambda event: None)
        summary = scheduler.run(bridge.jobs(made), [stage.key for stage in made.goals()])
    assert summary.exit_code == 0, {key: ended.error for key, ended in summary.failures.items()}
    assert store.verify() == []
