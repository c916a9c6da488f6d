"""Keys: the same science is the same key, any other science is another, and no machine has a say."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT, toy_recipe
from w2s.recipe import Recipe
from w2s.stages import Combine, Predict, Split, Train, walk


def keys(data: dict[str, Any]) -> set[str]:
    return set(Recipe.model_validate(data).graph())


def goals(data: dict[str, Any]) -> list[str]:
    recipe = Recipe.model_validate(data)
    return [stage.key for by_seed in recipe.outcomes.values() for o in by_seed.values() for stage in o.stages()]


def test_keys_do_not_depend_on_the_process() -> None:
    code = "from tests.conftest import toy_recipe\nfrom w2s.recipe import Recipe\nprint(*Recipe.model_validate(toy_recipe()).graph())"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert set(runs.pop().split()) == keys(toy_recipe())


SCIENCE = {
    "task__size": 300, "task__hard": 0.5, "task__n_test": 50, "task__balance": True,
    "weak__model__width": 16, "weak__model__source": "tiny:gpt2", "weak__epochs": 2, "weak__batch": 8, "weak__max_tokens": 32,
    "strong__optim__lr": 1e-3, "strong__optim__kind": "adam", "strong__optim__weight_decay": 0.1, "strong__optim__clip": None,
    "strong__optim__betas": [0.9, 0.98], "strong__optim__eps": 1e-6, "strong__optim__head_lr": 1e-2,
    "strong__schedule": {"kind": "linear"}, "strong__trainable_layers": 1, "strong__pooling": "cls", "strong__head": "normal",
    "strong__dropout": True, "strong__precision": "bf16", "strong__bucket": False, "strong__batch_tokens": 512,
    "strong__too_long": "drop", "strong__evaluate": 3, "strong__select": "best", "strong__patience": 2, "strong__model__layers": 1,
    "method__alpha": 0.4, "method__warmup": 0.1, "method__variant": "reference", "method__combine": "majority", "method__members": 3,
    "split__val": 0.2, "split__weak": 0.4, "seeds": [7],
}  # fmt: skip


@pytest.mark.parametrize("path", SCIENCE)
def test_every_science_field_changes_what_it_touches(path: str) -> None:
    before, after = goals(toy_recipe()), goals(toy_recipe(**{path: SCIENCE[path]}))
    assert before != after


@pytest.mark.parametrize(
    "path,value",
    [
        ("machines__weak", {"cpus": 2, "gpus": 0.5}), ("machines__strong", {"micro_batch": 4, "gradient_checkpointing": True}),
        ("machines__retries", 5), ("machines__checkpoint_minutes", 1), ("machines__checkpoint_steps", 3),
        ("name", "other"), ("description", "words"),
    ],
)  # fmt: skip
def test_no_machine_field_changes_any_key(path: str, value: object) -> None:
    assert keys(toy_recipe()) == keys(toy_recipe(**{path: value}))


def test_methods_and_seeds_share_what_is_equal() -> None:
    """The weak models, their labels and the ceiling are built once for both methods; rows once for all seeds."""
    one, two = keys(toy_recipe(baselines=[])), keys(toy_recipe())
    student_predict_grade = 3
    assert len(two) == len(one) + student_predict_grade
    assert len(keys(toy_recipe(seeds=[0, 1]))) == 2 * len(two) - 1


def test_a_model_folder_is_keyed_by_content_not_by_path(tmp_path: Path) -> None:
    recipes = []
    for name in ("a", "b", "c"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights" if name != "c" else b"weightz")
        recipes.append(goals(toy_recipe(weak__model={"source": str(folder)})))
    assert recipes[0] == recipes[1] != recipes[2]


@pytest.mark.parametrize("path,value", [
    ("weak__model__width", 16), ("weak__model__depth", 2), ("weak__model__source", "tiny:gpt2"), ("weak__epochs", 2),
    ("weak__optim__lr", 1e-3), ("weak__max_tokens", 32), ("task__size", 300), ("task__hard", 0.5), ("split__weak", 0.4),
    ("seeds", [1]),
])  # fmt: skip
def test_what_a_weak_model_said_is_kept_under_everything_that_made_it(path: str, value: object) -> None:
    """Weak predictions kept by a folder's name alone, as EleutherAI's are, serve another weak model's student unnoticed."""

    def said(data: dict[str, Any]) -> str:
        (seed,) = data["seeds"]
        world = Recipe.model_validate(data).world(seed)
        return world.predict(world.supervisors()[0], "strong").key

    before = said(toy_recipe())
    assert said(toy_recipe(**{path: value})) != before
    assert said(toy_recipe(strong__model__width=64, method={"kind": "naive"}, name="other")) == before


@pytest.mark.parametrize("path,value", [
    ("strong__model__width", 64), ("strong__model__depth", 3), ("strong__model__source", "tiny:gpt2"), ("strong__model__layers", 1),
    ("strong__max_tokens", 32), ("strong__precision", "bf16"), ("strong__pooling", "cls"), ("strong__probe__layer", 1),
    ("task__size", 300), ("task__hard", 0.5),
])  # fmt: skip
def test_what_a_frozen_model_saw_is_kept_under_everything_that_made_it(path: str, value: object) -> None:
    """The same of hidden states; the seed, the split and whoever is the weak model have no say in them."""

    def seen(seed: int = 0, **changes: Any) -> str:
        strong = {"model": {"source": "tiny:bert", "width": 32, "depth": 2}, "probe": {}, "max_tokens": 64}
        world = Recipe.model_validate(toy_recipe(strong=strong, **changes)).world(seed)
        return world.embed(world.strong).key

    assert seen(**{path: value}) != seen()
    assert seen(3, weak__model__width=16, split={"weak": 0.4}, name="other") == seen()


def test_labels_can_be_aimed_at_other_rows() -> None:
    recipe = Recipe.model_validate(toy_recipe())
    world = recipe.world(0)
    crowd = [world.predict(teacher, "strong") for teacher in world.supervisors(2)]
    verdict = world.combine(crowd)
    assert isinstance(verdict, Combine)
    aimed = verdict.on(world.part("val"))
    assert isinstance(aimed, Combine)
    assert [label.rows.name for label in aimed.labels if isinstance(label, Predict)] == ["val", "val"]
    assert aimed.on(world.part("strong")).key == verdict.key


def test_inputs_come_before_those_who_need_them() -> None:
    seen: set[str] = set()
    for key, stage in walk(*Recipe.model_validate(toy_recipe()).graph().values()).items():
        assert {needed.key for needed in stage.inputs()} <= seen
        seen.add(key)


def test_the_student_never_sees_truth_unless_oracle() -> None:
    """Held-out labels of a student are weak labels, so selection cannot cheat; `oracle` is the one exception."""
    for select, honest in (("best", True), ("last", True), ("oracle", False)):
        recipe = Recipe.model_validate(toy_recipe(strong__select=select))
        students = [s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None]
        assert students
        assert all((s.val_labels is not None) == honest for s in students)


@given(st.integers(0, 2**31 - 1), st.text(), st.floats(0, 0.9), st.floats(0.05, 0.95))
def test_a_row_has_one_part_and_neighbours_have_no_say(seed: int, group: str, val: float, weak: float) -> None:
    split = Split(val=val, weak=weak)
    assert split.part_of(seed, group) == split.part_of(seed, group) in ("weak", "strong", "val")


@given(st.integers(0, 1000), st.floats(0.05, 0.5), st.floats(0.2, 0.8))
def test_shares_are_what_was_asked(seed: int, val: float, weak: float) -> None:
    split = Split(val=val, weak=weak)
    parts = [split.part_of(seed, f"group {i}") for i in range(3000)]
    rest = 3000 - parts.count("val")
    assert abs(parts.count("val") / 3000 - val) < 0.05
    assert abs(parts.count("weak") / rest - weak) < 0.06


def test_data_is_copied_not_shared_between_recipes() -> None:
    data = toy_recipe()
    before = copy.deepcopy(data)
    Recipe.model_validate(data)
    assert data == before
