"""Chess: is this the move that solves a puzzle, or which move does, in writing? (Burns et al. 2023, A.2; Lichess puzzles, CC0)

`answer: choice` has a move judged: the solution against another legal move. `answer: move` is the paper's own task: a language
model writes the move (" Qxc1+"), and is right where it writes that move exactly. Needs python-chess (`pip install 'w2s[chess]'`,
GPL-3).

Read from: the lichess CSV or its copy on the hub (FEN, Moves: the first move is the opponent's); jsonl with `fen`, the position
to solve, and `solution` (moves as e2e4) or `best_move`; or a .pgn file, where each game's last move is the one to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cluster.errors import BadEnvironment, BadInput
from w2s import choices
from w2s.choices import Form, Question
from w2s.examples import Answered, Example, hash_unit
from w2s.hub import HubTaskConfig, rows
from w2s.tables import Row
from w2s.task import Split

if TYPE_CHECKING:
    from chess import Board, Move

LONGEST_MOVE = len(" Qa1xb2+") + 2  # tokens at most: one a character, a space some tokenizers begin with, and the end
FORMS: dict[str, Form] = {"single": "single", "all": "all", "candidates": "choice"}


class Config(HubTaskConfig):
    """`path` may be one file or the hub, of which `test_share` is the test split; or a file or folder for each split."""

    SOURCE: ClassVar[str] = "Lichess puzzle database, hub Lichess/chess-puzzles, CC0"

    kind: Literal["chess"] = "chess"
    hub_id: str = "Lichess/chess-puzzles"
    answer: Literal["choice", "move"] = Field(
        "choice", description="choice: a move is judged; move: a language model writes it"
    )
    form: Literal["single", "all", "candidates"] = Field(
        "single",
        description="single: a position with one move, the solution or not; all: both, an item each; "
        "candidates: both, scored against each other; means nothing to answer: move",
    )
    notation: Literal["fen", "moves"] = Field(
        "fen", description="the position as FEN, or the moves that led there (PGN alone has them)"
    )
    min_rating: int | None = Field(None, description="leave out easier puzzles")
    max_rating: int | None = Field(None, description="leave out harder puzzles")
    share: float = Field(1.0, gt=0, le=1, description="read this share of the puzzles, by hash (the hub has millions)")
    test_share: float = Field(0.1, gt=0, lt=1, description="share of the positions that are the test split, by hash")

    @model_validator(mode="after")
    def _written(self) -> Config:
        if self.writes and (self.form != "single" or self.balance):
            field = "balance" if self.balance else "form"
            raise ValueError(f"answer: move shows no move to judge and has no classes: leave {field} out")
        return self

    @property
    def writes(self) -> bool:
        """Whether the move is written."""
        return self.answer == "move"

    @property
    def max_new_tokens(self) -> int:
        """As many as any move has characters."""
        return LONGEST_MOVE

    @property
    def chance(self) -> float:
        """Whoever writes at random finds no move."""
        return 0.0 if self.writes else super().chance

    @property
    def told(self) -> str:
        """`chess answer: move`."""
        return f"{self.kind} answer: {self.answer}" if self.writes else self.kind

    def identity(self) -> dict[str, Any]:
        """Choices among moves are keyed as they were before moves were written."""
        fields = super().identity()
        if not self.writes:
            del fields["answer"]
        return fields

    @property
    def fetched(self) -> tuple[Split, ...]:
        """The hub has one split, and so has a single file."""
        return ("train", "test") if self.apart else ("train",)

    @property
    def apart(self) -> bool:
        """Whether each split has files of its own."""
        return self.test_path is not None or (self.path is not None and Path(self.path).is_dir())


ROWS: tuple[dict[str, Any], ...] = (
    {"PuzzleId": "a", "FEN": "6k1/5ppp/8/8/8/8/5PPP/R5K1 b - - 0 1", "Moves": "h7h6 a1a8", "Rating": 600},
    {"PuzzleId": "b", "FEN": "7k/8/8/8/8/8/3q1PPP/6K1 w - - 0 1", "Moves": "h2h3 d2d1 g1h2", "Rating": 900},
    {"PuzzleId": "c", "FEN": "r5k1/5ppp/8/8/8/8/5PPP/R5K1 b - - 0 1", "Moves": "h7h6 a1a8 g8h7", "Rating": 1100},
    {"PuzzleId": "d", "FEN": "4k3/8/8/3q4/8/8/4B3/4K3 b - - 0 1", "Moves": "d5e4 e1d2 e4e2", "Rating": 1500},
)


@dataclass(frozen=True)
class Puzzle:
    """A position with the side to move, the move that solves it, and the moves that led there where they are known.

    `each` has those moves with a number before every one, as the paper writes them: "1. d4 1... Nf6".
    """

    board: Board
    solution: Move
    before: str | None
    each: str | None


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One or two items a puzzle; a position is a group.

    answer: move: the position, after which the move is to be written as SAN, with its sign of check or mate.
    answer: choice: a position with a single legal move is left out. Moves are written as SAN without the signs of check and
    mate: "#" would give the solution of most puzzles away. The other move is drawn by hash from the legal ones; where the
    solution is mate, from those that are not.

    Raises BadEnvironment without python-chess.
    """
    _require_chess()
    for row in _rows(config, split if config.apart else "train"):
        if not _wanted(config, row):
            continue
        puzzle = _puzzle(row)
        position = puzzle.board.epd()
        if config.apart or (hash_unit("test", position) < config.test_share) == (split == "test"):
            if config.writes:
                yield _answered(config, puzzle, row.where)
                continue
            asked = _question(config, puzzle, row.where)
            yield from choices.items(asked, FORMS[config.form]) if asked else ()


def _question(config: Config, puzzle: Puzzle, where: str) -> Question | None:
    board, group = puzzle.board, puzzle.board.epd()
    other = _other_move(board, puzzle.solution, group)
    if other is None:
        return None
    moves = {move.uci(): board.san(move).rstrip("+#") for move in (puzzle.solution, other)}
    black = "" if puzzle.before else f"{board.fullmove_number}..."
    told = _told(config, board, puzzle.before, f"{board.fullmove_number}." if board.turn else black, where)
    return Question(group, (group,), tuple(moves), 0, lambda move: f"{told} {moves[move]}")


def _answered(config: Config, puzzle: Puzzle, where: str) -> Answered:
    board, group = puzzle.board, puzzle.board.epd()
    told = _told(config, board, puzzle.each, f"{board.fullmove_number}{'.' if board.turn else '...'}", where)
    return Answered((told,), 0, group, answer=f" {board.san(puzzle.solution)}")


def _told(config: Config, board: Board, before: str | None, number: str, where: str) -> str:
    """The position, up to where a move is due."""
    if config.notation == "fen":
        return f"FEN: {board.fen()}\nMove:"
    if before is None:
        raise BadInput(where, "the moves that led to the position are not there", "set notation: fen, or give PGN")
    return f"{before} {number}".strip()


def _other_move(board: Board, solution: Move, group: str) -> Move | None:
    """A legal move that is not the solution, by hash; not another mate where the solution is one."""
    others = {move.uci(): move for move in board.legal_moves if move != solution}
    mates = _is_mate(board, solution)
    for name in choices.shuffled(tuple(others), (group,)):
        if not (mates and _is_mate(board, others[name])):
            return others[name]
    return None


def _is_mate(board: Board, move: Move) -> bool:
    board.push(move)
    mate = board.is_checkmate()
    board.pop()
    return mate


def _wanted(config: Config, row: Row) -> bool:
    name = "FEN" if "FEN" in row.values else "fen"
    if hash_unit("share", row.text(name)) >= config.share:
        return False
    if config.min_rating is None and config.max_rating is None:
        return True
    rating = row.integer("Rating" if "Rating" in row.values else "rating")
    lowest, highest = config.min_rating, config.max_rating
    return (lowest is None or rating >= lowest) and (highest is None or rating <= highest)


def _puzzle(row: Row) -> Puzzle:
    """A row of any layout. Raises BadInput for an impossible position or an illegal move."""
    import chess

    try:
        if "FEN" in row.values:  # the lichess layout: the position before the opponent's move
            board = chess.Board(row.text("FEN"))
            first, *moves = row.text("Moves").split() or [""]
            board.push(board.parse_uci(first))
        else:
            board = chess.Board(row.text("fen"))
            moves = _moves(row)
        solution = board.parse_uci(moves[0] if moves else "")
    except ValueError as error:
        raise BadInput(row.where, f"not a puzzle: {error}", "check the position and its moves") from error
    return Puzzle(board, solution, row.values.get("before"), row.values.get("each"))


def _moves(row: Row) -> list[str]:
    if "solution" not in row.values:
        return [row.text("best_move")]
    given = row.value("solution")
    return given.split() if isinstance(given, str) else list(row.texts("solution"))


def _rows(config: Config, split: Split) -> Iterator[Row]:
    file = config.test_path if split == "test" and config.test_path is not None else config.path
    if file is not None and file.lower().endswith(".pgn"):
        yield from _games(Path(file))
    else:
        yield from rows(config, split)


def _games(path: Path) -> Iterator[Row]:
    """The games of a PGN file as rows: the position before the last move, that move, and the moves before it."""
    import chess.pgn

    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            number = 0
            while (game := chess.pgn.read_game(file)) is not None:
                number += 1
                *before, last = [*game.mainline_moves()] or [None]
                if game.errors or last is None:
                    what = str(game.errors[0]) if game.errors else "no moves"
                    raise BadInput(f"{path}: game {number}", f"not a puzzle: {what}", "correct or remove the game")
                board = game.board()
                told = board.variation_san(before) if before else ""
                each = []
                for move in before:
                    each.append(f"{board.fullmove_number}{'.' if board.turn else '...'} {board.san(move)}")
                    board.push(move)
                values = {"fen": board.fen(), "solution": [last.uci()], "before": told, "each": " ".join(each)}
                rating = {"rating": game.headers["Rating"]} if "Rating" in game.headers else {}
                yield Row(str(path), number, {**values, **rating})
    except OSError as error:
        raise BadInput(str(path), f"cannot be read: {error.strerror}", "check the path") from error


def _require_chess() -> None:
    try:
        import chess  # noqa: F401
    except ImportError as error:
        raise BadEnvironment("task chess", "python-chess is not installed", "pip install 'w2s[chess]'") from error
