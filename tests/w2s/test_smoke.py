"""Every packaged recipe runs: its methods, optimizers, schedules, selection and losses on tiny models and a toy task.

What is swapped is what cannot be here: the data, the models (one of the same family of pretrained models), long texts, many
seeds, many devices. What a recipe says of how to learn stays as it is, but for the number of epochs and steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.w2s.puzzles import write_puzzles
from tests.w2s.search.searches import rows, tune
from w2s import bridge
from w2s.load import find, load, packaged_names
from w2s.recipe import Recipe

RUN_ELSEWHERE = {  # whole, with their real models, by hand; and as gangs in tests/chaos
    "quickstart", "zero_two_ranks",
    "explained/ibp",  # of word vectors alone: tests/w2s/work/test_explained.py
}  # fmt: skip
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def tiny(model: dict[str, Any], depth: int) -> dict[str, Any]:
    """A tiny model of the family: what a recipe asks of layers by name (LoRA) must be there."""
    family = "gpt2" if str(model["source"]).startswith("gpt2") else "llama"
    return {"source": f"tiny:{family}", "width": 16, "depth": depth}


def smoke(name: str, folder: Path) -> Recipe:
    """The recipe, made small."""
    told = load(name).model_dump(mode="json")
    written = told["task"].get("answer") == "move"
    candidates = told["task"].get("form") in ("candidates", "pair") or told["task"]["kind"] == "pairs"
    told["task"] = {"kind": "toy", "size": 160, "n_test": 40, "pairs": candidates}
    if any(method["kind"] == "explained" for method in (told["method"], *told["baselines"])):
        told["task"] = {"kind": "decoy", "of": told["task"]}  # its rows have highlights
    if written:
        told["task"] = {"kind": "chess", "answer": "move", "path": str(write_puzzles(folder, 80)), "test_share": 0.25}
    for side, depth in (("weak", 1), ("strong", 2)):
        learner = told[side]
        learner |= {"model": tiny(learner["model"], depth), "max_tokens": 48}
        if learner["trainable_layers"] != "all":
            learner["trainable_layers"] = min(1, learner["trainable_layers"])
        if learner["probe"]:
            learner["probe"]["steps"] = 20
            if learner["probe"]["layer"] not in ("middle", -1, 0):  # of a model that has more of them
                learner["probe"]["layer"] = "middle"
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
        if method.get("by") == "threshold":  # so little training makes no label sure
            method["threshold"] = 0.5
        if method.get("models") or method.get("layers"):
            method["models"] = [
                {"source": "tiny:bert", "width": 8 * (i + 1), "depth": 1} for i in range(len(method["models"]))
            ]
        else:
            method |= {"members": min(2, method["members"])}
        if isinstance(method.get("layer"), int):
            method["layer"] = "middle"
        if method.get("self_labels") == "prompted":  # a tiny tokenizer knows single bytes
            method["prompt"] = {"words": ["0", "1"], "template": "{text} "}
    told |= {"seeds": [0], "machines": {}, "search": None}  # `w2s run` runs a recipe as it is written
    return Recipe.model_validate(told)


def small_search(name: str, folder: Path) -> Path:
    """A packaged recipe with its search made small: two draws, or a grid of eight, over the same fields by the same algorithm."""
    search = load(name).search
    assert search is not None
    told = yaml.safe_load(find(name).read_text(encoding="utf-8"))["search"]
    for field in ("scheduler", "grace", "reduction"):  # early stopping needs Ray Tune
        told.pop(field, None)
    if "trials" in told:
        told["trials"] = 2
    for path, few in {"method.alpha": [0, 0.5], "strong.probe.l2": [0, 0.01], "strong.probe.steps": [10, 20]}.items():
        if search.algorithm == "grid" and path in told["space"]:
            told["space"][path] = few
    for chain in told["space"].get("method.chain", {}).get("choice", []):
        for rung in chain:
            if isinstance(rung, dict):
                rung["model"] = {"source": "tiny:llama", "width": 16, "depth": rung["model"]["layers"] // 2}
    told["seeds"] = [0, 1] if "seeds" in told else [0]
    file = folder / "small.yaml"
    recipe = smoke(name, folder).model_dump(mode="json", exclude={"search", "machines"})
    file.write_text(yaml.safe_dump({**recipe, "search": told}), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", sorted(set(packaged_names()) - RUN_ELSEWHERE))
def test_it_runs_small(name: str, tmp_path: Path) -> None:
    made = smoke(name, tmp_path)
    store = Store.open(tmp_path / "store")
    with store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(store.url), leases, lambda event: None)
        summary = scheduler.run(bridge.jobs(made), [stage.key for stage in made.goals()])
    assert summary.exit_code == 0, {key: ended.error for key, ended in summary.failures.items()}
    assert store.verify() == []


@pytest.mark.parametrize("name", ["search/alpha", "search/alpha_probe", "search/bootstrap"])
def test_its_search_runs_small(name: str, tmp_path: Path) -> None:
    """The population of `search/schedule` needs Ray Tune: see `search/test_breed.py`."""
    store = tmp_path / "store"
    done = tune(small_search(name, tmp_path), store)
    assert done.code == 0, done.err
    found = rows(store)
    assert len(found) == (8 if name == "search/alpha_probe" else 2)
    assert {row.status for row in found.values()} == {"done"}
    assert (next((store / "searches").iterdir()) / "best.yaml").exists()
