"""e-SNLI: spans point at the annotators' words in every layout, stay out of the identity, and reach the rows table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.errors import BadInput
from w2s import sift
from w2s.examples import Example
from w2s.tasks.esnli import ROWS, Config, examples, explained, marked
from w2s.work import table

Copy = Callable[..., str]

HUB = {
    "premise": "A boy in red kicks a ball.",
    "hypothesis": "A boy is asleep.",
    "label": 2,
    "explanation_1": "The boy cannot be asleep if he kicks.",
    "explanation_2": "",
    "explanation_3": "",
}


def words(example: Example) -> list[str]:
    return [example.texts[0][start:end] for start, end in example.highlights]


def read(copy: Copy, *rows: dict[str, Any]) -> list[Example]:
    return list(examples(Config(path=copy(train=list(rows))), "train"))


def test_stars_become_spans_of_the_text(copy: Copy) -> None:
    found = read(copy, *ROWS)
    assert words(found[0]) == ["boy", "kicks", "ball.", "child", "plays."]
    assert words(found[1]) == ["kicks", "asleep."]


def test_neutral_pairs_are_left_out(copy: Copy) -> None:
    assert len(read(copy, {**ROWS[0], "gold_label": "neutral"}, ROWS[1])) == 1
    assert len(read(copy, {**HUB, "label": 1}, HUB)) == 1


def test_a_star_counts_only_around_the_same_words() -> None:
    assert marked("two of two", "two of *two*") == ((7, 10),)
    assert marked("*a* b", "*a* *b*") == ()
    assert marked("a b", "a *c*") == ()
    assert marked("", "") == ()


def test_the_hubs_copy_highlights_what_the_explanation_repeats(copy: Copy) -> None:
    (found,) = read(copy, HUB)
    assert (found.label, found.group) == (0, HUB["premise"])
    assert words(found) == ["boy", "kicks", "boy", "asleep"]
    assert explained("It is what it is", "it is what it is") == ((6, 10),)


def test_jsonl_takes_a_rationale_as_text_or_as_spans(copy: Copy) -> None:
    row = {"text": "Premise: A dog swims.\nHypothesis: An animal is wet.", "label": 1}
    repeated, exact, none = (
        read(copy, {**row, "rationale": rationale})[0]
        for rationale in ("Premise says the dog is wet.", [[11, 14]], None)
    )
    assert (words(repeated), words(exact), words(none)) == (["dog", "wet"], ["dog"], [])
    assert repeated.id == exact.id == none.id
    assert exact.group == "Premise: A dog swims."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROWS[0], "gold_label": "-"}, "gold_label '-' is not one of"),
        ({**HUB, "label": -1}, "label -1 is not 0, 1 or 2"),
        ({"text": "t", "label": 1, "rationale": [[1, 2, 3]]}, "neither a text nor"),
    ],
)
def test_a_bad_row_is_told(row: dict[str, Any], said: str, copy: Copy) -> None:
    with pytest.raises(BadInput, match=said):
        read(copy, row)


def test_highlights_outside_the_text_are_refused() -> None:
    rows = [Example(("abc",), 0, "g", ((1, 4),)), Example(("abd",), 1, "h", ((0, 3),))]
    with pytest.raises(BadInput, match="1 rows have highlights outside their text"):
        sift.check("task x", rows, 2)


def test_the_rows_table_has_the_column_only_where_there_are_any(tmp_path: Path) -> None:
    part = {"name": "test"}
    plain = [Example(("abc",), 0, "g"), Example(("abd",), 1, "h")]
    table.write(tmp_path, {"train": plain, "test": plain}, 2)
    assert "highlights" not in pq.read_table(tmp_path / table.FILE).column_names
    assert table.read(tmp_path, part, "x").highlights is None
    lit = [Example(("abc",), 0, "g", ((0, 1), (2, 3))), Example(("abd",), 1, "h")]
    table.write(tmp_path, {"train": plain, "test": lit}, 2)
    read = table.read(tmp_path, part, "x")
    assert read.highlights == (((0, 1), (2, 3)), ())
    assert read.ids == tuple(row.id for row in plain), "not part of the identity"
