"""The recipes that compare methods: what methods have in common is there once, and a plan is the same wherever it is made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from tests.conftest import ROOT
from w2s import bridge
from w2s.load import find, load, packaged_names
from w2s.recipe import Recipe
from w2s.report.controls import why_control
from w2s.stages import Embed, Model, Outcome, Stage, walk

NAMES = [name for name in packaged_names() if name.startswith("compare/")]
EACH = pytest.mark.parametrize("name", NAMES)


@cache
def recipe(name: str) -> Recipe:
    return load(name)


@cache
def graph(name: str) -> dict[str, Stage]:
    return recipe(name).graph()


def models(name: str) -> Iterator[Model]:
    return (stage for stage in graph(name).values() if isinstance(stage, Model))


def control(name: str, by_seed: Mapping[int, Outcome]) -> str:
    return why_control(recipe(name), by_seed.values())


def test_there_are_recipes_that_compare() -> None:
    assert {"compare/reviews", "compare/finetune"} <= set(NAMES)


@EACH
def test_every_text_is_read_once_by_each_model(name: str) -> None:
    """Hidden states of all rows, for all methods, seeds and halves, and for filters too; none where models are finetuned."""
    read = Counter(stage.model for stage in graph(name).values() if isinstance(stage, Embed))
    probed = {learner.model for learner in (recipe(name).weak, recipe(name).strong) if learner.probe is not None}
    assert probed <= set(read)
    assert set(read.values()) <= {1}


@EACH
def test_floors_and_ceilings_are_shared(name: str) -> None:
    """The recipe's own weak model on all of the weak half, and the strong one on the truth of the strong half: once a seed."""
    asked = recipe(name)
    truth = Counter((one.learner, one.rows) for one in models(name) if one.labels is None)
    for learner, half in ((asked.weak, "weak"), (asked.strong, "strong")):
        for seed in asked.seeds:
            assert truth[learner, asked.world(seed).part(half)] >= 1
    if asked.weak.probe is not None:  # a seed changes nothing in such a head, so there are no members by seed either
        assert sum(truth[asked.weak, part] for learner, part in truth if learner == asked.weak) == len(asked.seeds)
    assert sum(truth[key] for key in truth if key[0] == asked.strong and key[1].name == "strong") == len(asked.seeds)


@EACH
def test_methods_that_learn_from_one_supervisor_learn_from_the_same(name: str) -> None:
    for seed in recipe(name).seeds:
        floors = [by_seed[seed].floor for by_seed in recipe(name).outcomes.values() if not control(name, by_seed)]
        common = Counter(floor.key for floor in floors if floor is not None).most_common(1)[0][1]
        assert common >= min(5, len(floors))


@EACH
def test_no_stage_and_no_student_is_there_twice(name: str) -> None:
    sciences = [json.dumps(stage.science(by_content=True), sort_keys=True) for stage in graph(name).values()]
    assert len(set(sciences)) == len(sciences)
    for seed in recipe(name).seeds:
        students = [by_seed[seed].transfer for by_seed in recipe(name).outcomes.values()]
        keys = [student.key for student in students if student is not None]
        assert len(set(keys)) == len(keys), "two methods are one and the same"
    jobs = bridge.jobs(recipe(name))
    assert list(jobs) == list(graph(name))
    assert len(graph(name)) < sum(
        len(walk(*outcome.stages())) for by_seed in recipe(name).outcomes.values() for outcome in by_seed.values()
    )


@EACH
def test_a_plan_is_the_same_again_and_elsewhere(name: str) -> None:
    again = list(load(name).graph())
    code = f"import json; from w2s.load import load; print(json.dumps(list(load({name!r}).graph())))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert list(graph(name)) == again == json.loads(done.stdout)


@EACH
def test_naive_is_there_and_enough_compete(name: str) -> None:
    outcomes = recipe(name).outcomes
    assert any(method.label == "naive" for method in outcomes)
    assert sum(not control(name, by_seed) for by_seed in outcomes.values()) >= 3


@EACH
def test_every_choice_is_commented_on_its_line(name: str) -> None:
    """Each method of a comparison says why it is there."""
    lines = find(name).read_text(encoding="utf-8").splitlines()
    methods = [line for line in lines if line.startswith("  - ") or line.startswith("method: ")]
    assert len(methods) == len(recipe(name).methods)
    assert all("#" in line for line in methods)
