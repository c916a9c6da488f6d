"""A bench's settings with the changes of a command line in them, checked, and told in one line each where they cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from cluster.errors import BadInput
from w2s.config import Config
from w2s.schema import join, set_at, split, unknown_step
from w2s.yaml_source import parse

WHERE = "command line"
Settings = TypeVar("Settings", bound=Config)


def changed(settings: Settings, changes: Sequence[str]) -> Settings:
    """The settings with `a.b=value` set. Raises BadInput, a line for each fault."""
    data = settings.dump()
    for text in changes:
        path, sign, raw = text.partition("=")
        steps = split(path)
        if not sign or not all(step != "" for step in steps):
            raise BadInput(f"change '{text}'", "is not of the form key.path=value", "for example abundant.steps=200")
        why = unknown_step(type(settings), steps)
        if why is not None:
            raise BadInput(f"{WHERE}: {join(steps)}", why)
        try:
            value = parse(raw, text).data
        except BadInput:
            raise BadInput(f"change '{text}'", f"'{raw}' is not readable as YAML") from None
        set_at(type(settings), data, steps, value, f"change '{text}'")
    try:
        return type(settings).model_validate(data)
    except ValidationError as error:
        faults = [_told(fault) for fault in error.errors(include_url=False)]
        first, *rest = dict.fromkeys(faults)
        raise BadInput(first[0], first[1] + "".join(f"\n{where}: {what}" for where, what in rest)) from None


def _told(fault: Any) -> tuple[str, str]:
    """Where and what of one of pydantic's complaints."""
    where = f"{WHERE}: {join(fault['loc'])}" if fault["loc"] else WHERE
    if fault["type"] == "value_error":
        return where, str(fault["ctx"]["error"])
    words: str = fault["msg"][0].lower() + fault["msg"][1:]
    found = "" if isinstance(fault["input"], dict | list) else f", found {fault['input']!r}"
    return where, words.partition(", unable to parse")[0].replace("tuple", "list") + found
