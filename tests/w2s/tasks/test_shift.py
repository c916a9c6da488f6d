"""Tasks whose distribution shifts: composed of others, or by a column of domains; their halves, held-out rows and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe
from w2s.stages import Calibrated, Part, Probe, Rows, Train
from w2s.task import TaskConfig, check_overlap, load
from w2s.tasks import features, file, shift, toy
from w2s.work import table

SOURCE, SHIFT = {"kind": "toy", "size": 120}, {"kind": "toy", "size": 200, "seed": 7, "hard": 0.6}
TASK = {"kind": "shift", "source": SOURCE, "shift": SHIFT}


def texts(config: TaskConfig, split: Any = "train") -> set[str]:
    return {row.texts[0] for row in load(config, split).examples}


def test_rows_have_a_side_and_test_rows_are_of_the_shifted_task() -> None:
    config = shift.Config.model_validate(TASK)
    rows = load(config, "train").examples
    own = {side: {row.texts[0] for row in rows if row.side == side} for side in ("source", "shift")}
    assert own["shift"] == texts(toy.Config(**SHIFT))
    assert own["source"] <= texts(toy.Config(**SOURCE))
    test = load(config, "test").examples
    assert {row.texts[0] for row in test} == texts(toy.Config(**SHIFT), "test")
    assert {row.side for row in test} == {"shift"}


def test_a_row_is_the_same_row_on_any_side() -> None:
    """`side` is no part of the identity."""
    config = shift.Config.model_validate(TASK)
    plain = {row.id for row in load(toy.Config(**SHIFT), "train").examples}
    assert plain == {row.id for row in load(config, "train").examples if row.side == "shift"}


def test_several_tasks_may_be_a_side() -> None:
    third = {"kind": "toy", "size": 60, "seed": 3}
    config = shift.Config.model_validate({**TASK, "source": [SOURCE, third]})
    both = {row.texts[0] for row in load(config, "train").examples if row.side == "source"}
    assert both & texts(toy.Config(**third))
    assert both & texts(toy.Config(**SOURCE))
    assert config.domains == ("toy + toy", "toy")
    assert shift.Config.model_validate(config.dump()) == config


@pytest.mark.parametrize("change,told", [
    ({"shift": {"kind": "chess", "answer": "move"}}, "written answers"),
    ({"source": TASK}, "shifts already"),
    ({"source": []}, "empty list"),
    ({"shift": {"kind": "file", "path": "x.csv", "text": "t", "n_classes": 5}}, "different numbers of classes: 2 .toy. and 5 .file."),
])  # fmt: skip
def test_tasks_that_do_not_go_together_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        shift.Config.model_validate({**TASK, **change})


def test_chance_is_that_of_the_rows_tested_on() -> None:
    config = shift.Config.model_validate({"source": {"kind": "vader", "domain": "amazon"}, "shift": "vader"})
    assert config.chance == pytest.approx(0.504)
    assert config.headline == "shift (vader amazon -> vader movie)"
    assert shift.Config.model_validate({**config.dump(), "balance": True}).chance == 0.5


def test_a_group_on_both_sides_is_left_to_the_shifted_one() -> None:
    rows = list(load(shift.Config.model_validate(TASK), "train").examples)
    config = shift.Config.model_validate({**TASK, "drop_overlap": False})
    held = next(row for row in rows if row.side == "source")
    torn = type(held)(("another text of that group",), 1, held.group, side="shift")
    with pytest.raises(BadInput, match="1 source rows have groups that are in the shifted domain"):
        check_overlap(config, [*rows, torn], [])
    kept, notes = check_overlap(shift.Config.model_validate(TASK), [*rows, torn], [])
    assert held.id not in {row.id for row in kept}
    assert len(kept) == len(rows)
    assert "1 source rows left out" in notes[0]


def test_a_side_without_rows_is_refused() -> None:
    config = shift.Config.model_validate(TASK)
    rows = [row for row in load(config, "train").examples if row.side == "shift"]
    with pytest.raises(BadInput, match="no training row is of side 'source'"):
        check_overlap(config, rows, [])


# ---- the world


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(toy_recipe(task=TASK, method={"kind": "raven"}, baselines=["naive"], **changes))


def test_halves_are_sides_and_each_has_held_out_rows_of_its_own(tmp_path: Path) -> None:
    made = recipe(split__val=0.2)
    world, bench = made.world(0), Bench(made, tmp_path)
    bench.run(Rows(made.task))
    whole = table.read_all(bench.out(Rows(made.task)))

    def of(part: Part) -> set[int]:
        return set(whole.places(part.json(by_content=False), "test"))

    weak, strong, test = (of(world.part(name)) for name in ("weak", "strong", "test"))  # type: ignore[arg-type]
    val = {side: of(world.part("val", side=side)) for side in ("source", "shift")}  # type: ignore[arg-type]
    for side, half in (("source", weak), ("shift", strong)):
        every = {i for i, split in enumerate(whole.splits) if split == "train" and whole.sides[i] == side}
        assert half | val[side] == every, "all training rows of the side"
        assert not half & val[side]
        assert 0.1 < len(val[side]) / len(every) < 0.3
    assert of(world.part("val")) == val["shift"]
    assert test == {i for i, split in enumerate(whole.splits) if split == "test"}


def test_supervisors_are_held_out_on_the_source_and_students_on_the_shift() -> None:
    made = recipe(weak__evaluate="epoch")
    graph = made.graph().values()
    trained = [stage for stage in graph if isinstance(stage, Train | Probe)]
    assert {(stage.rows.name, stage.rows.side, stage.val.side) for stage in trained if stage.val} == {
        ("weak", "source", "source"), ("strong", "shift", "shift")
    }  # fmt: skip
    calibrated = [stage for stage in graph if isinstance(stage, Calibrated)]
    assert calibrated
    assert {stage.val.side for stage in calibrated} == {"source"}
    assert {stage.rows.side for stage in trained if stage.labels is None and stage.rows.name == "strong"} == {"shift"}


def test_receipts_count_by_side(tmp_path: Path) -> None:
    made = recipe()
    metrics, _ = Bench(made, tmp_path).run(Rows(made.task))
    assert metrics["n_train_source"] + metrics["n_train_shift"] == metrics["n_train"]
    assert metrics["n_train_shift"] == 200


def test_the_weak_share_means_nothing_where_there_are_sides() -> None:
    with pytest.raises(ValidationError, match=r"split\.weak: the halves of task shift are its sides"):
        recipe(split__weak=0.3)


def test_tasks_without_sides_have_the_parts_they_had() -> None:
    world = Recipe.model_validate(toy_recipe()).world(0)
    for name in ("weak", "strong", "val", "test"):
        assert "side" not in world.part(name).json(by_content=True)  # type: ignore[arg-type]
    assert world.part("val", side="source") == world.part("val", side="shift") == world.held_out(world.part("weak"))


# ---- a column of domains

ROWS = [
    {"t": f"text {i}", "label": i % 2, "place": (f"h{i // 2 % 4 + 1}", i // 2 % 4 + 1)[i % 3 == 0]} for i in range(160)
]
DOMAINS = {"domain": "place", "source": ["h1", 1], "shift": ["h2", 2]}


def written(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> str:
    place = folder / name
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(place)


def found(config: TaskConfig) -> dict[str, set[str]]:
    return {
        "source": {row.texts[0] for row in load(config, "train").examples if row.side == "source"},
        "shift": {row.texts[0] for row in load(config, "train").examples if row.side == "shift"},
        "test": texts(config, "test"),
    }


def named(*domains: str) -> set[str]:
    return {row["t"] for row in ROWS if str(row["place"]).lstrip("h") in domains}


def test_a_file_shifts_by_a_column(tmp_path: Path) -> None:
    """Numbers and text are the same names; without `test` a share of the shifted rows is tested on; others are left out."""
    place = written(tmp_path, ROWS)
    own = found(file.Config.model_validate({"path": place, "text": "t", **DOMAINS}))
    assert own["source"] == named("1")
    assert own["shift"] | own["test"] == named("2")
    assert not own["shift"] & own["test"]
    assert own["test"]
    own = found(file.Config.model_validate({"path": place, "text": "t", **DOMAINS, "test": ["h3", "3"]}))
    assert own == {"source": named("1"), "shift": named("2"), "test": named("3")}


def test_a_test_file_gives_its_shifted_rows(tmp_path: Path) -> None:
    place, other = written(tmp_path, ROWS[:120]), written(tmp_path, ROWS[120:], "test.jsonl")
    own = found(file.Config.model_validate({"path": place, "test_path": other, "text": "t", **DOMAINS}))
    assert own["test"] == named("2") & {row["t"] for row in ROWS[120:]}
    assert own["shift"] == named("2") - own["test"]


def test_features_shift_by_a_column_and_keep_their_vectors(tmp_path: Path) -> None:
    generator, place = np.random.default_rng(0), tmp_path / "x.npz"
    domain = np.array(["a", "b", "c"] * 40)
    np.savez(place, x=generator.normal(size=(120, 4)), label=np.arange(120) % 2, where=domain, when=np.arange(120) % 3)
    for column, values in (("where", ("a", "b", "c")), ("when", (0, 1, 2))):
        sides = {"domain": column, "source": values[0], "shift": values[1], "test": values[2]}
        config = features.Config.model_validate({"path": str(place), **sides})
        rows = load(config, "train").examples
        assert {side: sum(row.side == side for row in rows) for side in ("source", "shift")} == {
            "source": 40,
            "shift": 40,
        }
        assert len(load(config, "test").examples) == 40
        assert set(features.columns(config)) == {"x"}
        plain = features.Config(path=str(place))
        everyone = {row.id for split in ("train", "test") for row in load(plain, split).examples}  # type: ignore[arg-type]
        assert {row.id for row in rows} < everyone, "a row is itself, whatever the column of domains is"


@pytest.mark.parametrize("change,told", [
    ({"source": None}, "go together"), ({"domain": None}, "go together"), ({"shift": ["h1"]}, "h1 is named twice"),
    ({"test": ["h3"], "test_path": "x"}, "give one"), ({"test": ["1"]}, "domain 1 is named twice"),
])  # fmt: skip
def test_domains_that_make_no_sense_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        file.Config.model_validate({"path": "x.jsonl", "text": "t", **DOMAINS, **change})


def test_a_task_of_one_domain_keeps_its_key(tmp_path: Path) -> None:
    config = file.Config(path=written(tmp_path, ROWS), text="t")
    assert not {"domain", "source", "shift", "test"} & set(config.identity())
    assert not config.sided
    assert {row.side for row in load(config, "train").examples} == {""}
