"""Tasks that hold a task: `of: {kind: vader, domain: movie}` inside another task's config, checked as any task is.

    class Config(TaskConfig):
        kind: Literal["decoy"] = "decoy"
        of: Nested = Field(description="the task whose rows it takes")

    for example in rows_of(config.of, split): ...

The union of all tasks cannot be written where one of them is being defined, so it is looked up when a value is checked.
"""

from __future__ import annotations

from functools import cache
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SerializeAsAny, TypeAdapter

from w2s.examples import Example
from w2s.registry import module, names, union
from w2s.task import Split, TaskConfig, check_overlap, load


@cache
def _tasks() -> TypeAdapter[TaskConfig]:
    return TypeAdapter(union("tasks"))


def task(value: Any) -> TaskConfig:
    """A task's config out of what a recipe writes: a bare kind, a dict, or a config. Raises pydantic's ValidationError."""
    return _tasks().validate_python(value)


@cache
def _lists() -> TypeAdapter[tuple[TaskConfig, ...]]:
    form: Any = GenericAlias(tuple, (union("tasks"), ...))
    return TypeAdapter(form)


def tasks(value: Any) -> TaskConfig | tuple[TaskConfig, ...]:
    """One task's config, or several out of a list. Raises pydantic's ValidationError."""
    return _lists().validate_python(value) if isinstance(value, list | tuple) else task(value)


if TYPE_CHECKING:
    Nested: TypeAlias = TaskConfig
    Several: TypeAlias = TaskConfig | tuple[TaskConfig, ...]
else:
    # SerializeAsAny: dumped with the fields of its own kind, not of the base class alone
    Nested = Annotated[SerializeAsAny[TaskConfig], BeforeValidator(task)]
    Several = Annotated[SerializeAsAny[TaskConfig] | tuple[SerializeAsAny[TaskConfig], ...], BeforeValidator(tasks)]


def kinds_of(annotation: Any) -> list[type[BaseModel]]:
    """The configs that may lie in a field of this type, where that is `Nested` or `Several`: pydantic knows only their base class.
    Else none."""
    holds = annotation is TaskConfig or any(_bare(choice) is TaskConfig for choice in get_args(annotation))
    return [module("tasks", kind).Config for kind in names("tasks")] if holds else []


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def held_by(config: TaskConfig) -> tuple[TaskConfig, ...]:
    """The tasks that lie in a task's fields, in field order; none in most tasks."""
    values = [value for _, value in config]
    every = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return tuple(one for one in every if isinstance(one, TaskConfig))


def rows_of(held: TaskConfig, split: Split) -> list[Example]:
    """The examples a held task would give by itself: checked, balanced, picked, and none that is in both splits.

    Overlap is looked for here, before whoever holds the task writes its rows anew. Raises BadInput as `w2s.task.load` does.
    """
    found = load(held, split).examples
    return found if split == "test" else check_overlap(held, found, load(held, "test").examples)[0]
