"""What every task's rows go through: refusals with counts and ids, and picks that no file order or seed can move."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from w2s import registry, sift
from w2s.examples import Example
from w2s.task import TaskConfig, check_overlap, load

Row = tuple[str, int, str]


def task(tmp_path: Path, rows: list[Row], **fields: Any) -> TaskConfig:
    """A real file task over (text, label, group) rows, which are its train and its test split."""
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": t, "label": y, "group": g}) + "\n" for t, y, g in rows))
    config: TaskConfig = registry.module("tasks", "file").Config.model_validate(
        {"path": str(file), "test_path": str(file), "text": "text", "group": "group", **fields}
    )
    return config


def many(n: int = 60, group_size: int = 1) -> list[Row]:
    return [(f"text {i}", i % 2, f"group {i // group_size}") for i in range(n)]


def test_a_row_twice_with_one_label_is_dropped_and_counted(tmp_path: Path) -> None:
    loaded = load(task(tmp_path, [*many(10), *many(3)]), "train")
    assert len(loaded.examples) == 10
    assert loaded.notes == ("train: 3 rows left out: repeats of another row",)


def test_a_row_with_two_labels_is_refused_with_count_and_id_or_dropped_on_request(tmp_path: Path) -> None:
    rows = [*many(10), ("text 0", 1, "group 0")]
    bad = Example(("text 0",), 0, "group 0").id
    with pytest.raises(BadInput, match=rf"1 rows occur twice with different labels \(ids such as {bad}\)") as caught:
        load(task(tmp_path, rows), "train")
    assert "drop_conflicts" in caught.value.remedy
    loaded = load(task(tmp_path, rows, drop_conflicts=True), "train")
    assert bad not in {row.id for row in loaded.examples}
    assert loaded.notes == ("train: 2 rows left out: the same row has two labels",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no rows"),
        ([("a", 0, "g"), ("b", 0, "h")], "all 2 rows have label 0"),
        ([("a", 0, "g"), ("b", 2, "h"), ("c", -1, "i")], r"2 rows have labels outside 0\.\.1: -1, 2"),
    ],
)
def test_useless_data_is_refused(rows: list[Row], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        load(task(tmp_path, rows), "train")


def test_mixed_numbers_of_texts_are_refused_and_equal_candidates_dropped() -> None:
    pairs = [Example((f"a{i}", f"b{i}"), i % 2, f"g{i}") for i in range(4)]
    with pytest.raises(BadInput, match="1 rows with 1, 4 rows with 2"):
        sift.check("task x", [*pairs, Example(("a",), 0, "g")], 2)
    with pytest.raises(BadInput, match="2 texts for 3 classes"):
        sift.check("task x", pairs, 3)
    rows, dropped = sift.check("task x", [*pairs, Example(("same", "same"), 0, "g")], 2)
    assert (rows, dropped) == (pairs, {"all their texts are equal": 1})


def test_file_order_changes_nothing(tmp_path: Path) -> None:
    rows = many(80, 2)
    one = load(task(tmp_path, rows, n_train=30), "train")
    random.Random(0).shuffle(rows)
    assert load(task(tmp_path, rows, n_train=30), "train") == one


def test_a_smaller_pick_is_a_subset_and_other_rows_do_not_matter(tmp_path: Path) -> None:
    picks = [{row.id for row in load(task(tmp_path, many(), n_train=n), "train").examples} for n in (10, 20, 60)]
    assert [len(pick) for pick in picks] == [10, 20, 60]
    assert picks[0] < picks[1] < picks[2]


def test_too_few_rows_are_told(tmp_path: Path) -> None:
    assert load(task(tmp_path, many(), n_test=100), "test").notes == ("test: 100 rows asked for, there are 60",)


def test_a_pick_that_leaves_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="raise n_test"):
        load(task(tmp_path, many(), n_test=1), "test")


examples = st.builds(
    lambda text, label, group: Example((text,), label, f"g{group}"),
    st.integers(0, 10_000).map(str),
    st.integers(0, 2),
    st.integers(0, 20),
)


@given(st.lists(examples, min_size=1, max_size=60, unique_by=lambda row: row.id), st.integers(1, 70))
def test_a_pick_keeps_groups_whole_and_never_exceeds_its_count(rows: list[Example], count: int) -> None:
    kept = sift.pick(rows, count, None)
    sizes, taken = Counter(row.group for row in rows), Counter(row.group for row in kept)
    assert 1 <= len(kept) <= count
    # the one exception: a first group larger than the whole pick
    assert all(taken[group] == sizes[group] for group in taken) or (len(taken) == 1 and len(kept) == count)
    assert kept == sift.pick(rows[::-1], count, None)


@given(st.lists(examples, max_size=60, unique_by=lambda row: row.id), st.none() | st.integers(1, 40))
def test_balance_keeps_as_many_of_each_class_as_it_can(rows: list[Example], count: int | None) -> None:
    sizes = Counter(row.label for row in rows)
    share = min(min(sizes[label] for label in range(3)), 60 if count is None else count // 3)
    assert Counter(row.label for row in sift.pick(rows, count, 3)) == Counter({c: share for c in range(3) if share})


def test_rows_in_both_splits_are_refused_or_dropped_by_id_and_by_text(tmp_path: Path) -> None:
    strict, lenient = (task(tmp_path, many(), drop_overlap=drop) for drop in (False, True))
    train = [Example((f"t{i}", f"u{i}"), i % 2, f"g{i}") for i in range(6)]
    test = [train[0], Example(("u1", "t1"), 0, "another group"), Example(("x", "y"), 1, "z")]
    with pytest.raises(BadInput, match="2 of 6 training rows are also in the test split") as caught:
        check_overlap(strict, train, test)
    assert "drop_overlap" in caught.value.remedy
    assert sorted([train[0].id, train[1].id])[0] in caught.value.what
    assert check_overlap(lenient, train, test) == (train[2:], ("train: 2 rows left out: also in the test split",))
    assert check_overlap(strict, train[2:], test) == (train[2:], ())
    with pytest.raises(BadInput, match="every training row"):
        check_overlap(lenient, train, train)


@pytest.mark.parametrize("kind", registry.names("tasks"))
def test_every_task_says_what_it_is(kind: str) -> None:
    module = registry.module("tasks", kind)
    assert module.Config.model_fields["kind"].default == kind
    assert module.Config.SOURCE
    assert 0 < module.Config.CHANCE < 1
    assert len(registry.summary("tasks", kind)) > 20


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_trian"):
        registry.module("tasks", "toy").Config(n_trian=3)
