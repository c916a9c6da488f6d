"""Four raw rows of every hub task become exactly these examples, in every form and from every file format.

The rows stand in the task's file (ROWS, made up, in the original columns), the examples in `tests/golden/tasks`. When a format
changes on purpose: raise the task's VERSION, write the examples anew with `W2S_UPDATE_GOLDEN=1` and read the difference.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.conftest import ROOT
from tests.w2s.tasks.samples import CASES, HUB_TASKS, Case
from w2s import registry, sift
from w2s.examples import Example

Copy = Callable[..., str]
GOLDEN = ROOT / "tests" / "golden" / "tasks"

pytestmark = pytest.mark.filterwarnings("error")


def found(case: Case, copy: Copy) -> list[Example]:
    place = case.config(path="x").place
    config = case.config(path=copy(**{place.train: case.rows}), test_path=copy(**{place.test: case.rows}))
    return list(registry.module("tasks", case.kind).examples(config, "train"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_four_rows_become_the_golden_examples(case: Case, copy: Copy) -> None:
    examples = json.loads(json.dumps([dataclasses.asdict(example) for example in found(case, copy)]))
    assert [example.pop("side") for example in examples] == [""] * len(examples), "none of these shifts"
    file = GOLDEN / f"{case.kind}.json"
    golden = json.loads(file.read_text()) if file.is_file() else {}
    if os.environ.get("W2S_UPDATE_GOLDEN"):
        golden[case.name] = examples
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(golden, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert examples == golden.get(case.name), f"write {file} with W2S_UPDATE_GOLDEN=1 and read it"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_rows_have_both_labels_and_pass_the_sieve(case: Case, copy: Copy) -> None:
    rows, config = found(case, copy), case.config(path="x")
    kept, dropped = sift.check(case.name, rows, config.n_classes)
    assert (kept, dropped) == (rows, {})
    assert len({row.label for row in rows}) >= 2
    assert {len(row.texts) for row in rows} <= {1, config.n_classes}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_row_knows_its_place(case: Case, copy: Copy) -> None:
    turned = dataclasses.replace(case, rows=case.rows[::-1])
    assert Counter(found(turned, copy)) == Counter(found(case, copy))


@pytest.mark.parametrize("kind", HUB_TASKS)
def test_every_hub_task_shows_four_rows_in_its_columns(kind: str) -> None:
    module = registry.module("tasks", kind)
    for rows in module.ROWS.values() if isinstance(module.ROWS, dict) else [module.ROWS]:
        assert len(rows) == 4
        assert all(column in row for row in rows for column in module.Config.COLUMNS)


@pytest.mark.parametrize("kind", HUB_TASKS)
def test_the_first_line_says_what_it_is_and_where_it_is_from(kind: str) -> None:
    line = registry.summary("tasks", kind)
    assert "?" in line, "the question the task asks"
    assert line.rstrip(".").endswith(")"), "its source, in brackets"
    assert len(registry.module("tasks", kind).Config.SOURCE) > 20
