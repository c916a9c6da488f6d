"""A shift of distribution made of other tasks: supervisors learn from one, students learn from and are tested on another.

    task:
      kind: shift
      source: {kind: vader, domain: amazon}      supervisors learn its training rows
      shift: {kind: vader, domain: movie}        students learn its training rows, labelled by them; its test rows grade everyone

Either may be a list of tasks, whose rows are taken together. All have the same classes, in the same order, which nobody but
the author of a recipe can see to. The source's test rows are not used; a group that is on both sides is left out of the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from w2s.examples import Example
from w2s.nested import Several, held_by, rows_of
from w2s.task import Split, TaskConfig


class Config(TaskConfig):
    SOURCE: ClassVar[str] = "made of other tasks"

    kind: Literal["shift"] = "shift"
    source: Several = Field(description="the task whose training rows supervisors learn; or a list of several")
    shift: Several = Field(description="the task that students learn and all are tested on; or a list of several")
    # the same short sentence may be written in two domains
    drop_overlap: bool = Field(True, description="leave out training rows that are in the test split (else refused)")

    @model_validator(mode="after")
    def _fits(self) -> Config:
        for side in ("source", "shift"):
            if not _listed(getattr(self, side)):
                raise ValueError(f"{side}: is an empty list; name a task")
            for held in _listed(getattr(self, side)):
                if held.writes or held.sided:
                    why = "has written answers" if held.writes else "shifts already"
                    raise ValueError(f"{side}: task {held.told} {why}; take one of classes, of one domain")
        classes = {held.n_classes: held.told for held in held_by(self)}
        if len(classes) > 1:
            told = " and ".join(f"{count} ({name})" for count, name in sorted(classes.items()))
            raise ValueError(f"tasks of different numbers of classes: {told}")
        return self

    @property
    def sided(self) -> bool:
        return True

    @property
    def domains(self) -> tuple[str, str]:
        return _names(_listed(self.source)), _names(_listed(self.shift))

    @property
    def told(self) -> str:
        return self.headline

    @property
    def n_classes(self) -> int:
        return _listed(self.shift)[0].n_classes

    @property
    def chance(self) -> float:
        """Accuracy of the best constant answer on the shifted test rows; of several tasks at most the greatest of theirs."""
        return 1 / self.n_classes if self.balance else max(held.chance for held in _listed(self.shift))


def examples(config: Config, split: Split) -> Iterator[Example]:
    """Training rows of both sides, or the shifted side's test rows."""
    for held in _listed(config.shift):
        for example in rows_of(held, split):
            yield replace(example, side="shift")
    if split == "train":
        for held in _listed(config.source):
            for example in rows_of(held, "train"):
                yield replace(example, side="source")


def _listed(held: Several) -> tuple[TaskConfig, ...]:
    return held if isinstance(held, tuple) else (held,)


def _names(tasks: Sequence[TaskConfig]) -> str:
    """Kinds, each with the domain it has where it has one."""
    return " + ".join(" ".join(filter(None, (held.kind, str(getattr(held, "domain", None) or "")))) for held in tasks)
