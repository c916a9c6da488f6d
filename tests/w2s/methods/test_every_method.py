"""Every method in the folder runs, unasked: finetuned, with probes, and on labels that came with the data.

One store a setting, so that what methods share is made once. A method may refuse a setting, in one line with a remedy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.command import w2s, write_recipe
from w2s import registry
from w2s.recipe import Recipe

TINY = {"source": "tiny:llama", "width": 16, "depth": 2}  # a decoder: some methods ask a language model
PROBE = {"probe": {"l2": 0.1}}
BYTES = {"words": ["0", "1"], "template": "{text} "}  # a tiny tokenizer knows single bytes
NEEDS: dict[str, Any] = {"prompted": {"prompt": BYTES}, "selective": {"prompt": BYTES}}
NEEDS |= {"adaboost": {"rounds": 2, "folds": 2}, "co_supervised": {"levels": [1, 2]}}  # fewer models, less time
LABELS = ("adaboost", "co_supervised", "reliability")  # what cannot do with one labeller that cannot learn
TEXTS = ("generative", "explained")  # what reads tokens cannot do with vectors of whole texts
REFUSES = {"probes": TEXTS, "given": (*TEXTS, "prompted", *LABELS)}  # everything else runs everywhere


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of all settings, and a file of vectors with labels."""
    folder = tmp_path_factory.mktemp("methods")
    generator = np.random.default_rng(0)
    label = np.arange(240) % 2
    vectors = generator.normal(size=(240, 8)).astype(np.float32) + label[:, None]
    weak = np.clip(0.5 + 0.3 * (2 * label - 1) + 0.3 * generator.normal(size=240), 0.01, 0.99)
    np.savez(folder / "vectors.npz", x=vectors, weak=weak, label=label)
    return folder


def setting(name: str, place: Path) -> dict[str, Any]:
    """What of the toy recipe is another."""
    small = {"task": {"kind": "toy", "size": 160, "n_test": 40}, "baselines": []}
    if name == "finetuned":
        return {**small, "strong__model": TINY}
    if name == "probes":
        weak = {"model": {"source": "tiny:bert", "width": 8, "depth": 1}, "evaluate": "never", **PROBE}
        return {**small, "weak": weak, "strong": {"model": TINY, "max_tokens": 64, **PROBE}}
    return {
        "baselines": [], "task": {"kind": "features", "path": str(place / "vectors.npz")},
        "weak": {"model": "given:weak"}, "strong": {"model": "features:x", **PROBE},
    }  # fmt: skip


def refusal(recipe: dict[str, Any]) -> BadInput | None:
    """What planning says against a recipe."""
    try:
        Recipe.model_validate(toy_recipe(**recipe)).check()
    except BadInput as problem:
        return problem
    return None


CASES = [(name, kind) for name in ("finetuned", "probes", "given") for kind in registry.names("methods")]


@pytest.mark.parametrize("name,kind", CASES, ids=["-".join(case) for case in CASES])
def test_it_runs(name: str, kind: str, place: Path, tmp_path: Path) -> None:
    recipe = {**setting(name, place), "method": {"kind": kind, **NEEDS.get(kind, {})}}
    if kind == "explained":  # which learns from highlights
        recipe["task"] = {"kind": "decoy", "of": recipe["task"]} if name != "given" else recipe["task"]
    refused = refusal(recipe)
    if refused is not None:
        assert kind in REFUSES.get(name, ()), str(refused)
        assert refused.remedy
        assert "\n" not in str(refused)
        return
    done = w2s("run", write_recipe(tmp_path, **recipe), "--store", place / name, "--pool", "inline", "--json")
    assert done.code == 0, done.err
    (row,) = done.json["results"]["rows"]
    assert row["method"].split()[0] == kind
    assert row["seeds"] == [0]
    sides = (kind,) if kind in ("floor", "ceiling") else ("floor", "transfer", "ceiling")
    assert all(0 <= row[side]["mean"] <= 1 for side in sides)
    assert not row["missing"]


MORE: list[dict[str, Any]] = [
    {"kind": "bootstrap", "data": "fresh", "chain": ["strong", {"learner": "strong", "labels": "hard"}, "strong"]},
    {"kind": "filter", "by": "threshold", "threshold": 0.5}, {"kind": "filter", "by": "knn", "neighbours": 9},
    {"kind": "filter", "by": "logistic"}, {"kind": "filter", "by": "topological", "neighbours": 9},
    {"kind": "relabel", "by": "logistic"}, {"kind": "random_labels", "structure": "confident"},
    {"kind": "random_labels", "structure": "longest"}, {"kind": "early_stop", "every": 2, "select": "oracle"},
    {"kind": "finetune", "labels": "hard", "loss": "brier"},
]  # fmt: skip


@pytest.mark.parametrize("name", ["finetuned", "given"])
def test_every_choice_runs(name: str, place: Path, tmp_path: Path) -> None:
    """In one table, and none of them is told like another."""
    recipe = {**setting(name, place), "method": MORE[0], "baselines": MORE[1:]}
    done = w2s("run", write_recipe(tmp_path, **recipe), "--store", place / name, "--pool", "inline", "--json")
    assert done.code == 0, done.err
    labels = [row["method"] for row in done.json["results"]["rows"]]
    assert len(set(labels)) == len(MORE)
    assert [label for label in labels if "oracle" in label] == labels[8:9]


@pytest.mark.parametrize("kind", ["floor", "ceiling"])
def test_alone_a_report_shows_one_number(kind: str, place: Path, tmp_path: Path) -> None:
    recipe = {**setting("given", place), "method": {"kind": kind}}
    done = w2s("run", write_recipe(tmp_path, **recipe), "--store", place / "given", "--pool", "inline", "--json")
    (row,) = done.json["results"]["rows"]
    assert [side for side in ("floor", "transfer", "ceiling", "gain", "pgr") if row[side] is not None] == [kind]
    assert row["verdict"] == f"{kind} alone"


def test_pairs_have_neighbours_too(place: Path, tmp_path: Path) -> None:
    """Two candidates a row are told apart by a difference."""
    task = {"kind": "toy", "size": 160, "n_test": 40, "pairs": True}
    methods = [{"kind": "relabel", "neighbours": 9}, {"kind": "filter", "by": "topological", "neighbours": 9}]
    recipe = {**setting("probes", place), "task": task, "method": methods[0], "baselines": methods[1:]}
    done = w2s("run", write_recipe(tmp_path, **recipe), "--store", place / "pairs", "--pool", "inline", "--json")
    assert done.code == 0, done.err
