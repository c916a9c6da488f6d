"""Chess puzzles: the same position from CSV, jsonl and PGN; the other move is legal, no second solution, and drawn by hash."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import chess
import pytest

from cluster.errors import BadEnvironment, BadInput
from w2s import choices
from w2s.examples import Example
from w2s.tasks.chess import ROWS, Config, examples

FOOLS_MATE = "1. f3 e5 2. g4 Qh4#"
SCHOLARS_MATE = "1. e4 e5 2. Bc4 Nc6 3. Qh5 Nf6 4. Qxf7#"
PGN = f'[Event "a"]\n\n{FOOLS_MATE} 0-1\n\n[Event "b"]\n[Rating "700"]\n\n{SCHOLARS_MATE} 1-0\n'


def write(path: Path, rows: Any) -> str:
    if path.suffix == ".csv":
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def solved(rows: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """The same puzzles in the other layout: the position to solve, and the solution from there."""
    found = []
    for row in rows:
        board = chess.Board(row["FEN"])
        first, *rest = row["Moves"].split()
        board.push_uci(first)
        found.append({"fen": board.fen(), "solution": rest, "best_move": rest[0], "rating": row["Rating"]})
    return found


def found(path: str, **changes: Any) -> list[Example]:
    """All puzzles of a file: it is given for both splits, so none is set apart."""
    return list(examples(Config(path=path, test_path=path, **changes), "train"))


def test_all_layouts_give_the_same_examples(tmp_path: Path) -> None:
    expected = found(write(tmp_path / "lichess.csv", ROWS))
    plain = solved(ROWS)
    assert found(write(tmp_path / "list.jsonl", plain)) == expected
    assert (
        found(write(tmp_path / "text.jsonl", [{**r, "solution": " ".join(r["solution"])} for r in plain])) == expected
    )
    bare = [{name: value for name, value in row.items() if name != "solution"} for row in plain]
    assert found(write(tmp_path / "best.jsonl", bare)) == expected


def test_a_games_last_move_is_the_one_to_find(tmp_path: Path) -> None:
    (tmp_path / "x.pgn").write_text(PGN)
    fool, scholar = found(str(tmp_path / "x.pgn"), form="candidates", notation="moves")
    assert fool.texts[fool.label] == "1. f3 e5 2. g4 Qh4"
    assert scholar.texts[scholar.label] == "1. e4 e5 2. Bc4 Nc6 3. Qh5 Nf6 4. Qxf7"
    assert scholar.texts[1 - scholar.label].startswith("1. e4 e5 2. Bc4 Nc6 3. Qh5 Nf6 4. ")
    fool, _ = found(str(tmp_path / "x.pgn"), form="candidates")
    assert fool.texts[fool.label] == "FEN: rnbqkbnr/pppp1ppp/8/4p3/6P1/5P2/PPPPP2P/RNBQKBNR b KQkq - 0 2\nMove: Qh4"


def test_the_other_move_is_legal_and_no_second_mate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    position = chess.Board("7k/6pp/8/8/8/8/RR4PP/6K1 w - - 0 1")  # either rook mates
    file = write(tmp_path / "x.jsonl", [{"fen": position.fen(), "best_move": "a2a8"}])
    monkeypatch.setattr(choices, "shuffled", lambda texts, *_: tuple(sorted(texts, key=lambda text: text != "b2b8")))
    (row,) = found(file, form="candidates")
    other = position.parse_san(row.texts[1 - row.label].rpartition(" ")[2])
    assert other.uci() not in ("a2a8", "b2b8")


def test_nothing_but_the_move_tells_it_from_the_other(tmp_path: Path) -> None:
    for row in found(write(tmp_path / "x.csv", ROWS), form="candidates"):
        first, second = row.texts
        assert first.rpartition(" ")[0] == second.rpartition(" ")[0]
        assert not first.endswith(("+", "#"))
        assert not second.endswith(("+", "#"))


def test_a_forced_move_is_left_out(tmp_path: Path) -> None:
    forced = {"fen": "k7/8/8/8/8/8/1q6/K7 w - - 0 1", "best_move": "a1b2"}
    assert found(write(tmp_path / "x.jsonl", [forced])) == []


def test_one_file_is_split_by_position_and_two_are_not(tmp_path: Path) -> None:
    places = [(i, j) for i in range(3, 7) for j in range(1, 7)]
    rows = [{"fen": f"{i}k{7 - i}/8/8/8/8/8/{j}P{7 - j}/K7 w - - 0 1", "best_move": "a1b1"} for i, j in places]
    file = write(tmp_path / "x.jsonl", rows)
    config = Config(path=file, test_share=0.4, form="all")
    train, test = list(examples(config, "train")), list(examples(config, "test"))
    assert not {row.group for row in train} & {row.group for row in test}
    assert 4 < len(test) < len(train)
    assert Counter(train + test) == Counter(found(file, form="all"))


def test_a_share_is_drawn_by_hash(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", ROWS)
    assert set(found(file, share=0.5)) < set(found(file))


def test_ratings_choose_puzzles(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", ROWS)
    assert len(found(file, min_rating=900, max_rating=1200)) == 2
    assert len(found(file, max_rating=100)) == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"fen": "nonsense", "best_move": "a1a2"}, "not a puzzle"),
        ({"fen": "7k/8/8/8/8/8/8/K7 w - - 0 1", "best_move": "a1a5"}, "illegal uci"),
        ({"FEN": "7k/8/8/8/8/8/8/K7 w - - 0 1", "Moves": "a1a2"}, "not a puzzle"),
        ({"board": "x"}, "no column 'fen'"),
    ],
)
def test_a_bad_row_is_told(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        found(write(tmp_path / "x.jsonl", [row]))
    assert "row 1" in caught.value.where


def test_a_bad_game_and_moves_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.pgn").write_text(PGN + '[Event "c"]\n\n1. e4 e5 2. Ke3 *\n')
    with pytest.raises(BadInput, match="illegal san") as caught:
        found(str(tmp_path / "x.pgn"))
    assert caught.value.where.endswith("game 3")
    with pytest.raises(BadInput, match="moves that led"):
        found(write(tmp_path / "x.csv", ROWS), notation="moves")


def test_without_the_library_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "chess", None)
    with pytest.raises(BadEnvironment, match="python-chess is not installed"):
        found(write(tmp_path / "x.csv", ROWS))
