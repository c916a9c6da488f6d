"""What every stage is: a frozen value whose inputs are its fields, with a key made of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from cluster.key import content_key
from w2s.config import Config, identity


@dataclass(frozen=True)
class Stage:
    """One piece of work. Its key is a Merkle hash of kind, VERSION and fields; raise VERSION when the work changes."""

    VERSION: ClassVar[int] = 1
    LATER: ClassVar[tuple[str, ...]] = ()
    """Fields that came after others had keys: left out of the key where they are None."""

    @property
    def kind(self) -> str:
        return type(self).__name__

    @cached_property
    def key(self) -> str:
        """sha256 over kind, VERSION, fields, and the keys of input stages."""
        return content_key(self.science(by_content=True))

    @property
    def words(self) -> str:
        """What is done, for people. Not unique; keys are."""
        raise NotImplementedError(f"{self.kind} has no words")

    def inputs(self) -> tuple[Stage, ...]:
        """The stages this one reads, each once, in field order."""
        found: dict[str, Stage] = {}
        for item in dataclasses.fields(self):
            for stage in _stages_in(getattr(self, item.name)):
                found.setdefault(stage.key, stage)
        return tuple(found.values())

    def science(self, *, by_content: bool = False) -> dict[str, Any]:
        """The stage as JSON, inputs as {"key": ...}. `by_content` gives the keyed form (digests for local paths)."""
        fields = {
            item.name: plain(getattr(self, item.name), by_content)
            for item in dataclasses.fields(self)
            if not (item.name in self.LATER and getattr(self, item.name) is None)
        }
        return {"kind": self.kind, "version": self.VERSION, **fields}


class Value:
    """Something that is not a stage but holds some: it says how it enters a stage's science, and which stages it leads to."""

    def json(self, by_content: bool) -> Any:
        """Its form in a stage's science; `by_content`: in its key."""
        raise NotImplementedError

    def stages(self) -> tuple[Stage, ...]:
        return ()


def reached(*roots: Stage) -> list[Stage]:
    """Every stage object below the roots (equal ones may repeat), without computing a key."""
    found: dict[int, Stage] = {}
    ahead = list(roots)
    while ahead:
        stage = ahead.pop()
        if id(stage) not in found:
            found[id(stage)] = stage
            ahead.extend(below for item in dataclasses.fields(stage) for below in _stages_in(getattr(stage, item.name)))
    return list(found.values())


def walk(*roots: Stage) -> dict[str, Stage]:
    """Every stage below the roots by key, inputs before those who need them."""
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.key in found:
            return
        for needed in stage.inputs():
            visit(needed)
        found[stage.key] = stage

    for root in roots:
        visit(root)
    return found


def _stages_in(value: Any) -> Iterator[Stage]:
    if isinstance(value, Stage):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _stages_in(item)
    elif isinstance(value, Value):
        yield from value.stages()


def plain(value: Any, by_content: bool) -> Any:
    """A field as it enters a stage's science."""
    if isinstance(value, Stage):
        return {"key": value.key}
    if isinstance(value, Value):
        return value.json(by_content)
    if isinstance(value, tuple):
        return [plain(item, by_content) for item in value]
    if isinstance(value, Config):
        return identity(value) if by_content else value.dump()
    return value
