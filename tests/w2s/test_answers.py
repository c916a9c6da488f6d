"""Written answers are joined by id: order means nothing, and a missing or doubled row is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import BadInput
from w2s.answers import AnswerTable

TABLE = AnswerTable(("p", "q", "r"), (" e4", "", " Qxf7#\n"), (-1.5, -0.25, -8.0), (-0.5, -0.25, -1.0))


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    TABLE.save(tmp_path)
    assert AnswerTable.load(tmp_path) == TABLE


def test_rows_are_found_by_id() -> None:
    assert TABLE.join(("r", "p"), "x") == AnswerTable(("r", "p"), (" Qxf7#\n", " e4"), (-8.0, -1.5), (-1.0, -0.5))


def test_missing_and_doubled_rows_are_refused() -> None:
    with pytest.raises(BadInput, match=r"1 of 2 rows have no label, e\.g\. s"):
        TABLE.join(("p", "s"), "x")
    doubled = AnswerTable(("p", "p"), ("a", "b"), (0.0, 0.0), (0.0, 0.0))
    with pytest.raises(BadInput, match="labelled twice"):
        doubled.join(("p",), "x")


def test_columns_are_equally_long() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        AnswerTable(("p",), ("a", "b"), (0.0,), (0.0,))
