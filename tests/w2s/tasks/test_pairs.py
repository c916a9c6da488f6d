"""Preference pairs: every source's better answer is found in its own columns, and the order of a pair does not know it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from w2s.preferences import SOURCES, Comparison
from w2s.tables import Row
from w2s.task import load
from w2s.tasks.pairs import ROWS, Config, Name, examples

Copy = Callable[..., str]


@pytest.mark.parametrize("source", list(ROWS))
def test_the_label_points_at_the_better_answer(source: Name, copy: Copy) -> None:
    places = SOURCES[source].place
    path = copy(**{places.train: ROWS[source], places.test: ROWS[source]})
    good = ("It is nine.", "Blue.", "Red.", "Hello to you.")
    for split in ("train", "test"):
        found = list(examples(Config(source=source, path=path), split))  # type: ignore[arg-type]
        assert [row.texts[row.label].endswith(answer) for row, answer in zip(found, good, strict=True)] == [True] * 4
        assert len({row.group for row in found}) == 3, "answers to one prompt are one group"


def test_safer_and_better_may_differ(copy: Copy) -> None:
    path = copy(train=ROWS["pku-saferlhf"])
    better, safer = (
        [row.label for row in examples(Config(source="pku-saferlhf", criterion=c, path=path), "train")]  # type: ignore[arg-type]
        for c in ("better", "safer")
    )
    assert [a == b for a, b in zip(better, safer, strict=True)] == [False, True, False, True]


def test_a_sequence_of_structures_is_read_as_rows_or_as_columns() -> None:
    raw = ROWS["summarize"][0]
    columns = {**raw, "summaries": {"text": [item["text"] for item in raw["summaries"]], "policy": ["ref", "sup"]}}
    read = SOURCES["summarize"].read
    assert read(Row("x", 1, raw), "better") == read(Row("x", 1, columns), "better")


def test_whole_texts_without_a_prompt_are_taken_as_they_are() -> None:
    row = Row("x", 1, {"chosen": "One good text.", "rejected": "One bad text."})
    assert SOURCES["file"].read(row, "better") == Comparison("One good text.", "One bad text.", "One ")


def test_order_is_even_and_equal_answers_are_left_out(copy: Copy) -> None:
    rows = [{"prompt": f"p {i}", "chosen": "yes", "rejected": "no"} for i in range(600)]
    same = [{"prompt": "q", "chosen": "yes", "rejected": "yes"}]
    loaded = load(Config(source="file", path=copy(train=rows + same)), "train")
    assert loaded.notes == ("train: 1 rows left out: all their texts are equal",)
    assert 0.44 < Counter(row.label for row in loaded.examples)[1] / 600 < 0.56


def test_the_place_is_the_sources_own_unless_another_is_named() -> None:
    assert Config(source="hh-harmless").place.folder == "harmless-base"
    assert Config(source="shp").place.id == "stanfordnlp/SHP"
    named = Config(source="shp", hub_id="me/copy", revision="v1").place
    assert (named.id, named.revision, named.train) == ("me/copy", "v1", "train")
    assert Config(source="shp").identity() != Config(source="ultrafeedback").identity()


def test_impossible_choices_are_refused() -> None:
    with pytest.raises(ValidationError, match="source: file needs a path"):
        Config(source="file")
    with pytest.raises(ValidationError, match="pku-saferlhf alone"):
        Config(source="shp", criterion="safer")


def test_a_missing_column_or_preference_is_told(copy: Copy) -> None:
    with pytest.raises(BadInput, match="no column 'human_ref_B'; did you mean 'human_ref_A'"):
        list(examples(Config(source="shp", path=copy(train=[{"history": "h", "human_ref_A": "a"}])), "train"))
    row = {**ROWS["shp"][0], "labels": 2}
    with pytest.raises(BadInput, match=r"labels 2 is not one of 0\.\.1"):
        list(examples(Config(source="shp", path=copy(train=[row])), "train"))
