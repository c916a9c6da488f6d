"""The recipes that come with w2s are legal; every method plans; keys change when, and only when, meaning does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import toy_recipe
from tests.w2s.command import w2s
from w2s import bridge, registry
from w2s import stages as all_stages
from w2s.config import Config
from w2s.load import load, packaged_names
from w2s.recipe import Recipe
from w2s.stages import Grade, Stage, Train, knows_truth, walk

KINDS = [(room, kind) for room in registry.ROOMS for kind in registry.names(room)]
ALONE = ("floor", "ceiling")  # they train no student; what they are is tested in `methods/`
TAUGHT = [kind for kind in registry.names("methods") if kind not in ALONE]


@pytest.fixture
def with_data(tmp_path: Path) -> Path:
    """A working folder that holds the files which `file.yaml` and `raven/features.yaml` name."""
    rows = [{"review": f"review {i}", "stars": "good" if i % 2 else "bad"} for i in range(20)]
    (tmp_path / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "vectors.npz").write_bytes(b"read by nobody who only plans")
    return tmp_path


@pytest.mark.parametrize("name", packaged_names())
def test_every_packaged_recipe_is_legal(name: str, with_data: Path) -> None:
    done = w2s("check", name, "--json", cwd=with_data)
    assert done.code == 0, done.err
    assert done.json["ok"] is True
    assert done.json["stages"] > 0


@pytest.mark.parametrize("name", packaged_names())
def test_every_packaged_recipe_says_what_it_is_for(name: str) -> None:
    assert load(name).description.strip()


def toy(**changes: Any) -> Recipe:
    return Recipe.model_validate(toy_recipe(**changes))


def method_recipe(kind: str) -> Recipe:
    """The toy recipe by one method, found through the registry: a new method is tested unasked."""
    task = {"kind": "decoy", "of": "toy"} if kind == "explained" else toy().task.dump()  # which learns from highlights
    return toy(task=task, method={"kind": kind}, baselines=[], strong__model__source="tiny:llama")  # some ask for words


@pytest.mark.parametrize("kind", TAUGHT)
def test_every_method_plans_floor_transfer_and_ceiling(kind: str) -> None:
    recipe = method_recipe(kind)
    recipe.check()
    for by_seed in recipe.outcomes.values():
        for outcome in by_seed.values():
            for grade in (outcome.floor, outcome.transfer, outcome.ceiling):
                assert isinstance(grade, Grade)
                assert grade.rows.name == "test", "every model is graded on the same test rows"
            student = outcome.transfer.labels
            if isinstance(student, all_stages.Predict):  # a model may also be asked as it is, untrained
                assert student.model.learner.model == recipe.strong.model
                assert student.model.labels is not None
            truth = [stage for stage in walk(outcome.ceiling.labels).values() if isinstance(stage, Train)]
            assert any(stage.learner == recipe.strong and stage.labels is None for stage in truth)


@pytest.mark.parametrize("kind", TAUGHT)
def test_no_student_sees_the_truth_of_its_own_half(kind: str) -> None:
    """A strong model on the way to `transfer` learns from labels alone; only a weak one learns from truth, on its half."""
    recipe = method_recipe(kind)
    for by_seed in recipe.outcomes.values():
        for outcome in by_seed.values():
            for stage in walk(outcome.transfer.labels).values():
                if isinstance(stage, Train) and knows_truth(stage.labels):
                    assert stage.rows.name == "weak"


@pytest.mark.parametrize("kind", registry.names("methods"))
def test_planning_is_pure(kind: str) -> None:
    """Planned twice, the same keys; every stage has work and a name; inputs stand before those who need them."""
    first, again = method_recipe(kind).graph(), method_recipe(kind).graph()
    assert list(first) == list(again)
    jobs = bridge.jobs(method_recipe(kind))
    seen: set[str] = set()
    for key, job in jobs.items():
        assert set(job.needs) <= seen
        seen.add(key)
        assert json.loads(json.dumps(dict(job.science))) == dict(job.science), "science travels as JSON"


@pytest.mark.parametrize("room,kind", KINDS)
def test_every_kind_says_what_it_is(room: str, kind: str) -> None:
    assert len(registry.summary(room, kind).split()) > 2, "a sentence for `w2s list`"
    assert registry.module(room, kind).Config.model_fields["kind"].default == kind


def keys(recipe: Recipe) -> set[str]:
    return set(recipe.graph())


@pytest.mark.parametrize(
    "kind", [stage.__name__ for stage in (all_stages.Rows, Train, all_stages.Predict, all_stages.Combine, Grade)]
)
def test_a_stage_of_another_version_is_other_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising a Stage's VERSION changes the keys of its kind and of all that is made from them, and no others."""
    before = toy().graph()
    monkeypatch.setattr(getattr(all_stages, kind), "VERSION", 99)
    after = keys(toy())
    for key, stage in before.items():
        assert (key in after) == (not made_from(stage, kind))


def made_from(stage: Stage, kind: str) -> bool:
    return any(below.kind == kind for below in walk(stage).values())


def configs_in_use() -> list[type[Config]]:
    recipe = toy()
    weak, losses = recipe.weak, [stage.loss for stage in recipe.graph().values() if isinstance(stage, Train)]
    used = [recipe.task, weak, weak.model, weak.optim, weak.schedule, recipe.split, *losses]
    return sorted({type(config) for config in used}, key=lambda config: (config.__module__, config.__name__))


@pytest.mark.parametrize("config", configs_in_use(), ids=lambda config: f"{config.__module__}.{config.__name__}")
def test_a_config_of_another_version_is_other_work(config: type[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    before = toy().graph()
    monkeypatch.setattr(config, "VERSION", 99)
    changed = set(before) - keys(toy())
    assert changed, f"VERSION of {config.__name__} is in no key"
    grades = {
        stage.key for outcomes in toy().outcomes.values() for outcome in outcomes.values() for stage in outcome.stages()
    }
    assert not grades & set(before) or config.__module__.startswith("w2s.losses."), "every result was made with it"


@pytest.mark.parametrize(
    "change",
    [{"weak__epochs": 2}, {"strong__optim": {"lr": 1e-3}}, {"task__size": 260}, {"seeds": [1]}, {"split": {"weak": 0.4}},
     {"strong__model__width": 16}, {"method__alpha": 0.1}, {"strong__batch": 8}],
)  # fmt: skip
def test_science_changes_keys(change: dict[str, Any]) -> None:
    assert keys(toy(**change)) != keys(toy())


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"description": "words"},
        {"machines": {"strong": {"cpus": 2, "micro_batch": 4, "gradient_checkpointing": True}}},
        {"machines": {"retries": 5, "checkpoint_steps": 3}},
    ],
)
def test_machines_and_names_do_not(change: dict[str, Any]) -> None:
    assert keys(toy(**change)) == keys(toy())


def test_equal_work_is_shared() -> None:
    """Two methods and the ceiling share the supervisor, the rows and the truth; more seeds share nothing but rows."""
    one, both = keys(toy(baselines=[])), keys(toy())
    assert one < both
    assert len(both - one) == 3, "the naive student, its prediction, its grade"
    assert len(keys(toy(seeds=[0])) & keys(toy(seeds=[1]))) == 1


def test_content_not_place_is_keyed(tmp_path: Path) -> None:
    """The same bytes under another path are the same work; other bytes under the same path are not."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text('{"text": "x", "label": 0}\n', encoding="utf-8")
    second.write_bytes(first.read_bytes())

    def graph(path: Path) -> set[str]:
        return keys(toy(task={"kind": "file", "path": str(path), "text": "text"}))

    before = graph(first)
    assert graph(second) == before
    first.write_text('{"text": "y", "label": 0}\n', encoding="utf-8")
    assert graph(first).isdisjoint(before)
