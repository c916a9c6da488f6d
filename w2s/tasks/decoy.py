"""Another task's rows with a decoy: does a student lean on a word that agrees with the label in training and not in the test? (code)

Each row of `of` gets one more word, of as many as there are classes. In training it agrees with the true label with probability
`agree`; in the test it is drawn at random. Both are drawn by hash of the row's id, so no order or seed moves them. Highlights
are everything but the decoy. The stress test of Heo et al. 2023 (decoy-MNIST), for texts.

The supervisor learns from rows with decoys too, so it leans on them itself: its labels agree with the decoy in the strong half
and are near chance in the test, and a naive student inherits that. Read transfer beside the floor and the ceiling, which is
trained on the truth plainly and leans on the decoy as well. The negative control is `rationale: random` of method explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from cluster.errors import BadInput
from w2s.examples import Example, hash_unit
from w2s.nested import Nested, rows_of
from w2s.task import Split, TaskConfig


class Config(TaskConfig):
    SOURCE: ClassVar[str] = "rows of another task with a word added by code (after decoy-MNIST of Heo et al. 2023)"

    kind: Literal["decoy"] = "decoy"
    of: Nested = Field(description="the task whose rows it takes: one text a row")
    agree: float = Field(0.95, ge=0, le=1, description="share of the training rows whose decoy is their class's")
    words: tuple[str, ...] = Field(("north", "south"), description="the decoys, one a class")
    place: Literal["end", "start"] = Field("end", description="where in the text the decoy stands")

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.of.writes or self.of.kind == "features":
            raise ValueError(f"of: task {self.of.told} has no texts with classes; take another")
        if len(set(self.words)) != self.n_classes or len(self.words) != self.n_classes:
            raise ValueError(
                f"words: {', '.join(self.words)} for {self.n_classes} classes; give one a class, all different"
            )
        if not all(word.strip() for word in self.words):
            raise ValueError("words: an empty one is no decoy")
        return self

    @property
    def n_classes(self) -> int:
        return self.of.n_classes

    @property
    def chance(self) -> float:
        return 1 / self.n_classes if self.balance else self.of.chance

    @property
    def told(self) -> str:
        return f"decoy of {self.of.told}"

    @property
    def highlighted(self) -> bool:
        return True


def examples(config: Config, split: Split) -> Iterator[Example]:
    """One row for each row of the other task, in its group. Raises BadInput for rows of several texts, and as the other does."""
    for row in rows_of(config.of, split):
        if len(row.texts) != 1:
            what = f"its rows are {len(row.texts)} texts to choose among, and a decoy belongs to one"
            raise BadInput(f"task decoy, of: {config.of.told}", what, "take a task of one text a row")
        yield _misled(row, config, _drawn(row, config, split))


def _drawn(row: Example, config: Config, split: Split) -> int:
    """Which of the words a row gets."""
    classes = config.n_classes
    if split == "test":
        return int(hash_unit("decoy of the test", row.id) * classes)
    if hash_unit("decoy", row.id) < config.agree:
        return row.label
    return (row.label + 1 + int(hash_unit("other decoy", row.id) * (classes - 1))) % classes


def _misled(row: Example, config: Config, drawn: int) -> Example:
    word, text = config.words[drawn], row.texts[0]
    if config.place == "end":
        return Example((f"{text} {word}",), row.label, row.group, ((0, len(text)),))
    begin = len(word) + 1
    return Example((f"{word} {text}",), row.label, row.group, ((begin, begin + len(text)),))
