"""The file task: every format gives the same rows, and every mistake is told by file, row and column."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from w2s.task import load
from w2s.tasks.file import Config, examples

ROWS = [{"q": f"q{i}", "a": f'a, "{i}"\n', "label": ("no", "yes")[i % 2], "topic": f"t{i // 2}"} for i in range(40)]
MAPPED = {"text": "{q} -> {a}", "labels": {"no": 0, "yes": 1}, "group": "topic"}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if path.name.endswith(".csv"):
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".arrow":
        table = pa.Table.from_pylist(rows)
        make = pa.ipc.new_file if "file" in path.stem else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return str(path)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.parquet", "stream.arrow", "file.arrow"])
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    config = Config(path=write(tmp_path / name, ROWS), **MAPPED)
    train, test = list(examples(config, "train")), list(examples(config, "test"))
    assert sorted((row.texts[0], row.label, row.group) for row in train + test) == sorted(
        (f"{row['q']} -> {row['a']}", int(row["label"] == "yes"), row["topic"]) for row in ROWS
    )
    assert not {row.group for row in train} & {row.group for row in test}
    assert 0 < len(test) < len(train)


def test_a_test_file_is_taken_whole_and_leaves_train_whole(tmp_path: Path) -> None:
    config = Config(path=write(tmp_path / "a.csv", ROWS), test_path=write(tmp_path / "b.jsonl", ROWS[:6]), **MAPPED)
    assert (len(list(examples(config, "train"))), len(list(examples(config, "test")))) == (40, 6)


def test_pairs_take_one_text_from_each_column(tmp_path: Path) -> None:
    rows = [{"a": f"a{i}", "b": f"b{i}", "better": i % 2} for i in range(20)]
    config = Config(path=write(tmp_path / "x.csv", rows), texts=("a", "the {b}"), label="better")
    found = load(config, "train").examples
    assert {(row.texts[0][1:], row.texts[1]) for row in found} <= {(str(i), f"the b{i}") for i in range(20)}
    assert all(int(row.texts[0][1:]) % 2 == row.label for row in found)


def test_more_classes_and_boolean_or_numeric_labels(tmp_path: Path) -> None:
    rows = [{"text": f"row {i}", "label": i % 3} for i in range(30)]
    config = Config.model_validate({"path": write(tmp_path / "x.jsonl", rows), "text": "text", "n_classes": 3})
    assert (config.n_classes, config.chance) == (3, pytest.approx(1 / 3))
    assert Config.model_validate(config.dump()) == config
    assert {row.label for row in load(config, "train").examples} == {0, 1, 2}
    flags = write(tmp_path / "y.jsonl", [{"text": f"row {i}", "label": i % 2 == 0} for i in range(30)])
    config = Config.model_validate({"path": flags, "text": "text", "labels": {True: 0, False: 1}})
    assert all(int(row.texts[0][4:]) % 2 == row.label for row in load(config, "train").examples)


def test_the_key_is_made_from_the_content_not_the_place(tmp_path: Path) -> None:
    one, other = (Config(path=write(tmp_path / name, ROWS), **MAPPED) for name in ("x.jsonl", "y.jsonl"))
    assert one.identity() == other.identity()
    assert one.identity() != Config(path=write(tmp_path / "z.jsonl", ROWS[1:]), **MAPPED).identity()
    assert hash(one) != hash(other)


@pytest.mark.parametrize(
    ("content", "changes", "said"),
    [
        ("", {}, ["no rows"]),
        ('{"q": "a"}\n', {}, ["x.jsonl: row 1", "no column 'a'"]),
        (
            '{"q": "x", "a": "y", "lable": "no", "topic": "t"}\n',
            {},
            ["row 1", "no column 'label'; did you mean 'lable'?"],
        ),
        ('{"q": "x", "a": "y", "label": "yess", "topic": "t"}\n', {}, ["row 1", "'label'", "did you mean 'yes'?"]),
        ('{"q": "x", "a": null, "label": "no", "topic": "t"}\n', {}, ["row 1", "column 'a' is null"]),
        ('{"q": "x", "a": ["y"], "label": "no", "topic": "t"}\n', {}, ["row 1", "column 'a' holds list"]),
        ('\n{"q": \n', {}, ["row 2", "not JSON"]),
        ("[1]\n", {}, ["row 1", "not an object"]),
        ('{"q": "x", "a": "y", "label": 1.5, "topic": "t"}\n', {"labels": None}, ["row 1", "1.5, not a whole number"]),
        (
            '{"q": "x", "a": "y", "label": "two", "topic": "t"}\n',
            {"labels": None},
            ["row 1", "'two', not a whole number"],
        ),
    ],
)
def test_a_bad_file_is_told_by_row_and_column(
    content: str, changes: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    config = Config(path=str(tmp_path / "x.jsonl"), test_path=str(tmp_path / "x.jsonl"), **{**MAPPED, **changes})
    with pytest.raises(BadInput) as caught:
        load(config, "train")
    assert all(piece in str(caught.value) for piece in said), str(caught.value)


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("x.csv", b"q,a,label,topic\nx,y\n", "fewer cells"),
        ("x.csv", b"q,a,label,topic\nx,y,no,t,more\n", "more cells"),
        ("x.csv", b"q,a,label,topic\n\xff\xfe,y,no,t\n", "cannot be read"),
        ("x.jsonl.gz", b"plain text", "cannot be read"),
        ("x.parquet", b"PAR1 not really", "cannot be read"),
        ("x.arrow", b"", "cannot be read"),
        ("x.txt", b"hello", "unknown kind of file"),
    ],
)
def test_an_unreadable_file_is_bad_input(name: str, raw: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(BadInput, match=said) as caught:
        load(Config(path=str(tmp_path / name), **MAPPED), "train")
    assert name in caught.value.where


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.csv: no such file"):
        load(Config(path=str(tmp_path / "nowhere.csv"), **MAPPED), "train")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": "a", "texts": ("a", "b")},
        {"texts": ("a", "b", "c")},
        {"text": "{a", "labels": None},
        {"text": "{}"},
        {"text": "{a!r}"},
        {"text": "a", "labels": {"x": 2}},
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_before_reading(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config(path="x.csv", **fields)
