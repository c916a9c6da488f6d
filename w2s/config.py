"""The base of every configuration: frozen, strict about unknown fields, and able to say what of it is science.

`identity(value)` is what goes into a key; `dump(value)` is what travels to a worker. They differ in one thing: a field
marked `LocalPath` travels as a path and is keyed by the content behind it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from cluster.errors import BadInput
from w2s.digests import path_sha256


class LocalContent:
    """Marks a field that holds a local path: where the bytes are is machines, what they are is science."""


def absolute(path: str) -> str:
    """A path as it means here and now: workers run elsewhere, so nothing relative may travel."""
    return str(Path(path).expanduser().absolute())


LocalPath = Annotated[str, AfterValidator(absolute), LocalContent()]


class Config(BaseModel):
    """A frozen set of named choices. Unknown fields are errors; numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    VERSION: ClassVar[int] = 1
    """Raise it when the same fields begin to mean another result: every key made from them changes."""

    def identity(self) -> dict[str, Any]:
        """The choices as they enter a key: fields, VERSION, and contents instead of local paths."""
        fields: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            local = name in _local_fields(type(self)) and value is not None
            fields[name] = path_identity(value, name) if local else identity(value)
        return {"version": self.VERSION, **fields}

    def dump(self) -> dict[str, Any]:
        """The choices as plain JSON, enough to build the same object again."""
        return self.model_dump(mode="json")


@cache
def _local_fields(config: type[Config]) -> frozenset[str]:
    return frozenset(name for name, info in config.model_fields.items() if _is_local(info))


def _is_local(info: FieldInfo) -> bool:
    # `LocalPath | None` keeps its marks inside the union, a bare `LocalPath` on the field
    marks = [*info.metadata, *(mark for arg in get_args(info.annotation) for mark in getattr(arg, "__metadata__", ()))]
    return any(isinstance(mark, LocalContent) for mark in marks)


def identity(value: Any) -> Any:
    """The keyed form of a value: configs by their identity, containers element by element."""
    if isinstance(value, Config):
        return value.identity()
    if isinstance(value, dict):
        return {name: identity(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    return value


def path_identity(path: str, field: str) -> dict[str, str]:
    """The content behind a local path, as {"sha256": ...}. Raises BadInput when there is none."""
    place = Path(path).expanduser()
    if place.is_dir() or place.is_file():
        return {"sha256": path_sha256(place)}
    raise BadInput(f"{field}: {path}", "no such file or folder", "check the path (it is taken from where you run w2s)")
