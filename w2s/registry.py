"""The folder is the registry: `methods/ladder.py` exists, so `kind: ladder` exists. Nothing to keep in step."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Annotated, Any, Union

from pydantic import BeforeValidator, Field

from cluster.errors import BadInput

ROOMS = ("tasks", "losses", "methods")


@cache
def names(room: str) -> tuple[str, ...]:
    """The kinds a room offers: its public module names, sorted."""
    package = importlib.import_module(f"w2s.{room}")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


def module(room: str, kind: str) -> ModuleType:
    """The module of one kind. Raises BadInput naming the nearest kinds when there is none."""
    if kind not in names(room):
        raise BadInput(room_singular(room), unknown(room_singular(room), kind, names(room)))
    return importlib.import_module(f"w2s.{room}.{kind}")


def union(room: str) -> Any:
    """The pydantic type of "any kind of this room": told apart by `kind`; a bare name means its defaults."""
    kinds = tuple(module(room, kind).Config for kind in names(room))
    return Annotated[Annotated[Union[kinds], Field(discriminator="kind")], BeforeValidator(_bare_name)]  # noqa: UP007


def _bare_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def summary(room: str, kind: str) -> str:
    """The first line of a kind's docstring."""
    return (module(room, kind).__doc__ or "").strip().split("\n")[0]


def room_singular(room: str) -> str:
    return {"tasks": "task", "losses": "loss", "methods": "method"}[room]


def unknown(noun: str, found: str, known: tuple[str, ...] | list[str]) -> str:
    """`no method 'lader'; did you mean 'ladder'? There are: ...`"""
    close = difflib.get_close_matches(found, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"no {noun} '{found}'{hint} There are: {', '.join(known)}"
