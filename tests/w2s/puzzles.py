"""Made-up chess puzzles for tests of written moves: positions of random play, each with a move that a small model can guess."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import chess

from tests.conftest import toy_recipe


def write_puzzles(folder: Path, count: int, seed: int = 0) -> Path:
    """A jsonl file of so many different positions; the solution is the legal move that comes first in the alphabet."""
    rng, rows, seen = random.Random(seed), [], set[str]()
    while len(rows) < count:
        board = chess.Board()
        for _ in range(rng.randrange(2, 12)):
            board.push(rng.choice([*board.legal_moves]))
            if board.is_game_over():
                break
        if board.epd() not in seen and not board.is_game_over():
            seen.add(board.epd())
            rows.append({"fen": board.fen(), "best_move": min(move.uci() for move in board.legal_moves)})
    file = folder / "puzzles.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def moves_recipe(file: Path, family: str = "gpt2", **changes: Any) -> dict[str, Any]:
    """The smallest whole experiment with written moves. Changes as `toy_recipe` takes them."""
    learner = {"optim": {"lr": 3e-3}, "epochs": 1, "batch": 16, "max_tokens": 100, "evaluate": "never"}
    usual = {
        "task": {"kind": "chess", "answer": "move", "path": str(file), "test_share": 0.25},
        "weak": {"model": {"source": f"tiny:{family}", "width": 16, "depth": 1}, **learner},
        "strong": {"model": {"source": f"tiny:{family}", "width": 32, "depth": 2}, **learner},
        "method": {"kind": "naive"},
        "baselines": [],
        "split": {"val": 0},
    }
    return toy_recipe(**{**usual, **changes})
