"""A site file of KEY=value lines, as shells and schedulers keep them, read into what the YAML one would hold."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import Any

from cluster.errors import BadInput
from cluster.submit.site import Site
from w2s.yaml_source import Path_, Source

LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
SEPARATOR = ";"
LISTS = {field.name for field in dataclasses.fields(Site) if str(field.type).startswith("tuple[str")}


def parse_env(text: str, where: str) -> Source:
    """`KEY=value` lines; keys are the fields' names in capitals. Values stand for themselves: nothing in them is executed.

    Quotes are as in a shell, # begins a remark, an empty value leaves the default. Lists: elements parted by `;`.
    ENVIRONMENT: `NAME=value` elements. Raises BadInput with the line for what is no such line, or a key that comes twice.
    """
    data: dict[str, Any] = {}
    places: dict[Path_, tuple[int, int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise BadInput(f"{where}:{number}", "is not of the form KEY=value", "for example ACCOUNT=my-project")
        name = match[1].lower()
        if (name,) in places:
            raise BadInput(f"{where}:{number}", f"{match[1]} is written twice", "keep one of them")
        places[(name,)] = (number, 1)
        value = _value(match[2], f"{where}:{number}: {match[1]}")
        if value:
            data[name] = _shaped(name, value, f"{where}:{number}: {match[1]}")
    return Source(data, places)


def _value(text: str, where: str) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise BadInput(where, f"its quotes do not close: {error}".lower(), 'write it like KEY="a b"') from None
    if len(words) > 1:
        raise BadInput(where, "is more than one word", 'put it in quotes: KEY="a b"')
    return words[0] if words else ""


def _shaped(name: str, value: str, where: str) -> Any:
    parts = [part.strip() for part in value.split(SEPARATOR) if part.strip()]
    if name in LISTS:
        return parts
    if name == "environment":
        pairs = [part.partition("=") for part in parts]
        if not all(sign for _, sign, _ in pairs):
            raise BadInput(where, "its elements are of the form NAME=value", 'for example ENVIRONMENT="A=1; B=2"')
        return {variable.strip(): text for variable, _, text in pairs}
    return value
