"""Multiple-choice questions and preference pairs as examples: what is shown, in which order, is drawn by hash.

No draw knows a row's place in a file, nor the place of the right answer among its candidates. Every candidate is written
by the same function, so how a text looks never tells whether it is right.
"""

# C candidates of a question

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from cluster.errors import BadInput
from w2s.examples import Example, hash_unit
from w2s.hub import HubTaskConfig, rows
from w2s.tables import Row
from w2s.task import Split

Form = Literal["single", "all", "choice"]


class ChoiceConfig(HubTaskConfig):
    """A multiple-choice task. `form` says what an item is; labels are even in all three."""

    CANDIDATES: ClassVar[int] = 4

    form: Form = Field(
        "single",
        description="single: a question with one candidate, right or not (openai/weak-to-strong); "
        "all: the right one and as many wrong ones, an item each (Burns et al. 2023); "
        "choice: all candidates scored against each other",
    )

    @property
    def n_classes(self) -> int:
        """One class a candidate where they are scored against each other, else right and wrong."""
        return self.CANDIDATES if self.form == "choice" else 2

    @property
    def chance(self) -> float:
        """Labels are drawn, so no constant answer beats 1 / classes by more than the draw's noise."""
        return 1 / self.n_classes


@dataclass(frozen=True)
class Question:
    """One question: C candidate answers, which of them is right, and how a candidate is written.

    `draw` is what the hashes see beside their purpose. `alone` writes a candidate where all of them are scored anyway
    and need not be told in the text (default: as `write`). `refuse` marks a right answer that is never shown as such.
    """

    group: str
    draw: tuple[str, ...]
    candidates: tuple[str, ...]
    right: int
    write: Callable[[str], str]
    alone: Callable[[str], str] | None = None
    refuse: bool = False


def examples(config: ChoiceConfig, split: Split, question: Callable[[Row], Question]) -> Iterator[Example]:
    """A split's items in the configured form. Raises BadInput for a question with another number of candidates."""
    for row in rows(config, split):
        asked = question(row)
        if len(asked.candidates) != config.CANDIDATES:
            what = f"{len(asked.candidates)} candidates, not {config.CANDIDATES}"
            raise BadInput(row.where, what, f"{config.kind} questions have {config.CANDIDATES}")
        yield from items(asked, config.form)


def items(question: Question, form: Form) -> Iterator[Example]:
    """A question as examples.

    single: one, the right one (1) or a wrong one (0) by a fair draw. all: two, the right one and a wrong one: equal
    numbers of both (a question whose candidates all read alike gives none). choice: one with C texts in an order drawn
    by hash; the label is the index of the right one.
    """
    right = question.candidates[question.right]
    wrong = [candidate for candidate in question.candidates if candidate != right]
    if form == "choice":
        order = shuffled(question.candidates, question.draw, "order")
        write = question.alone or question.write
        yield Example(tuple(write(text) for text in order), order.index(right), question.group)
        return
    other = wrong[int(len(wrong) * hash_unit("distractor", *question.draw))] if wrong else None
    if form == "all":
        if other is not None and not question.refuse:
            yield Example((question.write(right),), 1, question.group)
            yield Example((question.write(other),), 0, question.group)
        return
    if hash_unit("choice", *question.draw) < 0.5 and not question.refuse:
        yield Example((question.write(right),), 1, question.group)
    elif other is not None:
        yield Example((question.write(other),), 0, question.group)


def index(row: Row, column: str, count: int, first: int = 0) -> int:
    """The column as a place 0 .. count-1, where it counts from `first`. Raises BadInput for anything else (-1: no answer)."""
    found = row.integer(column) - first
    if not 0 <= found < count:
        what = f"{column} {found + first} is not one of {first}..{first + count - 1}"
        raise BadInput(row.where, what, "this split has no answers")
    return found


def place_of(row: Row, column: str, among: tuple[str, ...]) -> int:
    """Where the column's text stands `among` texts. Raises BadInput when it does not."""
    text = row.text(column)
    if text not in among:
        raise BadInput(row.where, f"{column} {text!r} is not one of {', '.join(among)}", "this split has no answers")
    return among.index(text)


def lettered(row: Row, column: str = "choices") -> tuple[tuple[str, ...], int]:
    """Candidates out of `{text: [...], label: [...]}` and the place of `answerKey`, a letter: the AI2 layout."""
    choices = row.inner(column)
    return choices.texts("text"), place_of(row, "answerKey", choices.texts("label"))


def shuffled(candidates: tuple[str, ...], draw: tuple[str, ...], purpose: str = "list") -> tuple[str, ...]:
    """The candidates in an order drawn by hash: the same whichever is right, and however the row lists them."""
    return tuple(sorted(candidates, key=lambda text: (hash_unit(purpose, *draw, text), text)))


def listed(candidates: tuple[str, ...], draw: tuple[str, ...]) -> str:
    """All candidates in an order drawn by hash, a line each."""
    return "\n".join(shuffled(candidates, draw))


def pair(chosen: str, rejected: str, group: str) -> Example:
    """Two texts in an order drawn by hash; the label is the index of the chosen one."""
    # drawn over the sorted texts: the order must not know which one was chosen
    first, second = sorted((chosen, rejected))
    if hash_unit("choice", group, first, second) < 0.5:
        first, second = second, first
    return Example((first, second), int(second == chosen), group)


def one_of(both: Example) -> Example:
    """The first text of a pair alone: was it the chosen one? Hardly to be told without the other."""
    return Example((both.texts[0],), int(both.label == 0), both.group)
