"""Tasks that hold a task: checked, keyed, dumped and complained about as if it stood alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.command import w2s, write_recipe
from w2s.config import identity
from w2s.load import load
from w2s.nested import held_by, rows_of, task
from w2s.recipe import Recipe
from w2s.schema import MISSING, look, unknown_step
from w2s.stages import Rows
from w2s.task import load as load_task
from w2s.tasks.decoy import Config as Decoy
from w2s.tasks.toy import Config as Toy


def test_a_held_task_keeps_its_own_fields() -> None:
    held = Decoy.model_validate({"of": {"kind": "toy", "size": 40, "hard": 0.5}})
    assert held.of == Toy(size=40, hard=0.5)
    assert held.dump()["of"]["hard"] == 0.5
    assert Decoy.model_validate(held.dump()) == held
    assert held.identity()["of"] == identity(Toy(size=40, hard=0.5))
    assert held_by(held) == (held.of,)
    assert task("toy") == Toy()
    assert task(held) is held


def test_a_held_tasks_choices_and_version_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {Rows(Decoy(of=Toy(size=size))).key for size in (40, 60)}
    assert len(keys) == 2
    monkeypatch.setattr(Toy, "VERSION", 99)
    assert Rows(Decoy(of=Toy(size=40))).key not in keys


def test_a_task_in_a_task_in_a_task() -> None:
    deep = Decoy.model_validate({"of": {"kind": "decoy", "of": "toy", "words": ["a", "b"]}})
    assert Decoy.model_validate(deep.dump()) == deep
    assert deep.told == "decoy of decoy of toy"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "decoy", "of": {"kind": "toy", "szie": 3}}, "task.of.szie: no such field; did you mean 'size'?"),
    ({"kind": "decoy", "of": "tyo"}, "task.of: no task 'tyo'; did you mean 'toy'?"),
    ({"kind": "decoy", "of": {"kind": "toy", "size": "x"}}, "task.of.size: input should be a valid integer, found 'x'"),
    ({"kind": "decoy", "of": {"size": 3}}, "task.of: needs `kind`"),
    ({"kind": "decoy"}, "task.of: is missing"),
]


@pytest.mark.parametrize("choice,line", BAD, ids=[str(choice) for choice, _ in BAD])
def test_what_is_wrong_within_is_told_where_it_stands(choice: dict[str, Any], line: str, tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, task=choice))
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    assert line in done.err


def test_overrides_and_searches_find_its_fields(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, task={"kind": "decoy", "of": "toy"})
    changed = load(str(file), ["task.of.size=44", "task.agree=0.9"]).task
    assert changed == Decoy(of=Toy(size=44), agree=0.9)
    plain = toy_recipe(task={"kind": "decoy", "of": {"kind": "toy"}})
    assert look(Recipe, plain, ("task", "of", "hard")) == 0.25
    assert look(Recipe, plain, ("task", "of", "domain")) is MISSING
    assert unknown_step(Recipe, ("task", "of", "hard")) is None
    assert "did you mean 'hard'" in str(unknown_step(Recipe, ("task", "of", "hrad")))


def test_rows_of_a_held_task_are_those_it_has_alone(tmp_path: Path) -> None:
    own = Toy(size=60, n_train=30)
    assert rows_of(own, "train") == load_task(own, "train").examples
    assert rows_of(own, "test") == load_task(own, "test").examples
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"text": "row {i}", "label": {i % 2}}}\n' for i in range(8)))
    both: dict[str, Any] = {
        "kind": "file",
        "path": str(file),
        "test_path": str(file),
        "text": "{text}",
        "label": "label",
    }
    with pytest.raises(BadInput, match="8 of 8 training rows are also in the test split"):
        rows_of(task(both), "train")
