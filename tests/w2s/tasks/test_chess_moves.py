"""Chess with written moves: what is asked and what is right, from every layout; what choices among moves were, they still are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from cluster.errors import BadInput
from tests.w2s.tasks.test_chess import PGN, solved, write
from w2s import sift
from w2s.examples import Answered, Example
from w2s.stages import Rows
from w2s.task import TaskConfig
from w2s.tasks.chess import ROWS, Config, examples
from w2s.work import table

FORCED = {"fen": "k7/8/8/8/8/8/1q6/K7 w - - 0 1", "best_move": "a1b2"}


def found(path: str, **changes: Any) -> list[Answered]:
    rows = list(examples(Config(path=path, test_path=path, answer="move", **changes), "train"))
    assert all(isinstance(row, Answered) for row in rows)
    return [row for row in rows if isinstance(row, Answered)]


def test_the_move_follows_the_position_with_its_sign(tmp_path: Path) -> None:
    rows = found(write(tmp_path / "x.csv", ROWS))
    assert rows[0].texts == ("FEN: 6k1/5pp1/7p/8/8/8/5PPP/R5K1 w - - 0 2\nMove:",)
    assert [row.answer for row in rows] == [" Ra8+", " Qd1+", " Rxa8+", " Kd2"]
    assert all(row.answer.startswith(" ") and row.answer.strip() for row in rows)
    assert {row.label for row in rows} == {0}


def test_all_layouts_give_the_same_examples(tmp_path: Path) -> None:
    expected = found(write(tmp_path / "lichess.csv", ROWS))
    assert found(write(tmp_path / "list.jsonl", solved(ROWS))) == expected


def test_a_games_moves_are_numbered_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "x.pgn").write_text(PGN + '[Event "c"]\n\n1. e4 *\n')
    fool, scholar, first = found(str(tmp_path / "x.pgn"), notation="moves")
    assert (fool.texts, fool.answer) == (("1. f3 1... e5 2. g4 2...",), " Qh4#")
    told = "1. e4 1... e5 2. Bc4 2... Nc6 3. Qh5 3... Nf6 4."
    assert (scholar.texts, scholar.answer) == ((told,), " Qxf7#")
    assert (first.texts, first.answer) == (("1.",), " e4")


def test_a_forced_move_is_kept(tmp_path: Path) -> None:
    [row] = found(write(tmp_path / "x.jsonl", [FORCED]))
    assert row.answer == " Kxb2"


def test_no_answer_is_longer_than_is_written() -> None:
    longest = " Qa1xb2#"
    assert len(longest) + 1 <= Config(answer="move").max_new_tokens


def test_choices_are_keyed_as_before() -> None:
    """Rows of the choice form, pinned: a store made before moves were written still serves."""
    assert "answer" not in Config().identity()
    assert Config(answer="move").identity()["answer"] == "move"
    assert Rows(Config()).key == Rows(Config(answer="choice")).key != Rows(Config(answer="move")).key
    assert Rows(Config()).key == "a5cc0b5b33d103b1f99d41db675fb55d18a7abafc0845063df85a5ef6530a97b"


def test_what_a_task_of_written_moves_says_of_itself() -> None:
    written, chosen = Config(answer="move"), Config()
    assert (written.writes, written.chance, written.told) == (True, 0.0, "chess answer: move")
    assert (chosen.writes, chosen.chance, chosen.told) == (False, 0.5, "chess")
    with pytest.raises(TypeError, match="no written answers"):
        _ = TaskConfig(kind="other").max_new_tokens


@pytest.mark.parametrize("changes", [{"form": "candidates"}, {"balance": True}])
def test_what_means_nothing_to_written_moves_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"leave {next(iter(changes))} out"):
        Config(answer="move", **changes)


def test_the_table_has_a_column_of_answers_where_there_are_any(tmp_path: Path) -> None:
    plain = Example(("a",), 1, "g")
    table.write(tmp_path, {"train": [plain]}, 2)
    assert pq.read_table(tmp_path / table.FILE).column_names == ["id", "group", "texts", "label", "split"]
    assert table.read_all(tmp_path).rows.answers is None
    table.write(tmp_path, {"train": [Answered(("a",), 0, "g", answer=" x"), Answered(("b",), 0, "h", answer=" y")]}, 2)
    whole = table.read_all(tmp_path)
    assert whole.rows.answers == (" x", " y")
    assert whole.take([1]).answers == (" y",)


def test_the_answer_is_no_part_of_a_rows_identity() -> None:
    assert Answered(("a",), 0, "g", answer=" x").id == Example(("a",), 0, "g").id


def test_one_position_with_two_solutions_is_a_conflict(tmp_path: Path) -> None:
    fen = "k7/8/8/8/8/8/8/K7 w - - 0 1"
    rows = [FORCED, {"fen": fen, "best_move": "a1a2"}, {"fen": fen, "best_move": "a1b1"}, FORCED]
    file = write(tmp_path / "x.jsonl", rows)
    with pytest.raises(BadInput, match="occur twice with different labels"):
        sift.check("x", found(file), None)
    kept, dropped = sift.check("x", [*found(file), Answered(("c",), 0, "c", answer=" d4")], None, drop_conflicts=True)
    assert [row.texts[0][:5] for row in kept] == ["FEN: ", "c"]
    assert dropped == {"the same row has two labels": 2, "repeats of another row": 1}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([Answered(("a",), 0, "g", answer="x"), Answered(("b",), 0, "h", answer=" \n")], "1 rows have no answer"),
        ([Answered(("a",), 0, "g", answer="x"), Example(("b",), 0, "h")], "1 rows have no answer"),
        ([Answered(("a", "b"), 0, "g", answer="x")], "1 rows have more than one text"),
        ([Answered(("a",), 0, "g", answer="x"), Answered(("b",), 0, "h", answer="x")], "all 2 rows have answer x"),
    ],
)
def test_rows_that_cannot_be_answered_are_refused(rows: list[Example], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        sift.check("x", rows, None)
