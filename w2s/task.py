"""The base of a task's configuration, and `load`: a task's examples checked, balanced and picked.

A task file has `class Config(TaskConfig)` and `examples(config, split) -> Iterator[Example]`, which formats every raw
row and picks none. What is refused, dropped and kept is the same for every task and lives in `w2s.sift`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from w2s import registry, sift
from w2s.config import Config
from w2s.examples import Example

Split = Literal["train", "test"]


class TaskConfig(Config):
    """The choices of one task; each file narrows `kind` to its own name."""

    CHANCE: ClassVar[float] = 0.5
    """Accuracy, on the whole test split, of the best constant answer."""

    N_CLASSES: ClassVar[int] = 2
    SOURCE: ClassVar[str] = ""
    """One line of provenance: where the data comes from, by whom, under which licence."""

    kind: str
    n_train: int | None = Field(None, ge=1, description="keep at most so many training rows; null for all")
    n_test: int | None = Field(None, ge=1, description="keep at most so many test rows; null for all")
    balance: bool = Field(False, description="equally many rows of each class, in both splits")
    drop_overlap: bool = Field(False, description="leave out training rows that are in the test split (else refused)")
    drop_conflicts: bool = Field(
        False, description="leave out rows that occur with two different labels (else refused)"
    )

    @property
    def n_classes(self) -> int:
        """How many classes the labels have. Ask this, not N_CLASSES: a task may learn it from its own fields."""
        return self.N_CLASSES

    @property
    def writes(self) -> bool:
        """Whether a row's truth is a text that a language model is to write: its examples are then `Answered`."""
        return False

    @property
    def highlighted(self) -> bool:
        """Whether its examples have `highlights`: the spans that someone gave as the reason for the label."""
        return False

    @property
    def max_new_tokens(self) -> int:
        """The most tokens that are written for an answer, the end token among them, in any tokenizer."""
        raise TypeError(f"task {self.kind} has no written answers")

    @property
    def told(self) -> str:
        """The task for errors: its kind, and the choice that makes it what it is."""
        return self.kind

    @property
    def sided(self) -> bool:
        """Whether the distribution shifts: training rows then have a side, and `source` is the weak half, `shift` the strong."""
        return False

    @property
    def domains(self) -> tuple[str, str]:
        """The names of the two sides. Raises TypeError for a task without."""
        raise TypeError(f"task {self.kind} has no sides")

    @property
    def headline(self) -> str:
        """The task at the head of a table: its kind, and from where to where it shifts."""
        return f"{self.kind} ({' -> '.join(self.domains)})" if self.sided else self.kind

    @property
    def chance(self) -> float:
        """Accuracy of the best constant answer under these choices."""
        return 1 / self.n_classes if self.balance else self.CHANCE


@dataclass(frozen=True)
class Loaded:
    """A split's examples, in an order that no file decides, and one line about each thing that was left out."""

    examples: list[Example]
    notes: tuple[str, ...] = ()


def load(config: TaskConfig, split: Split) -> Loaded:
    """A task's rows of one split: all of them checked, then balanced and picked by hash.

    A row's being kept depends on its group and on the whole split's class counts, never on its place or a seed; a
    smaller `n_train` keeps a subset of what a larger one keeps. Raises BadInput (empty, one class only, labels out of
    range, mixed numbers of texts, one row with two labels) and whatever the task raises about its source.
    """
    rows: Iterator[Example] = registry.module("tasks", config.kind).examples(config, split)
    where = f"task {config.kind}, {split} split"
    n_classes = None if config.writes else config.n_classes
    sifted, dropped = sift.check(where, rows, n_classes, drop_conflicts=config.drop_conflicts)
    count = config.n_train if split == "train" else config.n_test
    kept = sift.pick(sifted, count, config.n_classes if config.balance else None)
    sift.refuse_one_class(where, kept, f"raise n_{split} (it is {count})")
    notes = [f"{split}: {many} rows left out: {reason}" for reason, many in dropped.items()]
    if count is not None and len(sifted) < count:
        notes.append(f"{split}: {count} rows asked for, there are {len(sifted)}")
    return Loaded(kept, tuple(notes))


def check_overlap(
    config: TaskConfig, train: Sequence[Example], test: Sequence[Example]
) -> tuple[list[Example], tuple[str, ...]]:
    """The training rows that are not in the test split, by id or by exact texts (in any order), and notes.

    Nor, of a task with sides, rows of the source whose group is on the other side as well: what a supervisor learned, no student
    meets again. With `config.drop_overlap` such rows are left out of training and counted in a note; without it any one raises
    BadInput with the count and sample ids. Raises BadInput, too, where a side has no rows.
    """
    where = f"task {config.kind}"
    notes: list[str] = []
    kept, dropped = sift.apart(where, train, test, drop=config.drop_overlap)
    if dropped:
        sift.refuse_one_class(f"{where}, train split without test rows", kept, "give train and test different rows")
        notes.append(f"train: {dropped} rows left out: also in the test split")
    if config.sided:
        kept, dropped = sift.sides_apart(where, kept, test, drop=config.drop_overlap)
        if dropped:
            notes.append(f"train: {dropped} source rows left out: their groups are in the shifted domain, too")
    return kept, tuple(notes)
