"""The site file: what a user says once about a cluster. From YAML or KEY=value lines to a checked `Site`.

Its names are `Site`'s own, except where people write an amount with its unit: `time_limit: 2:00:00`, `memory_per_node: 64GB`.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from cluster.errors import BadInput
from cluster.submit.site import Site
from cluster.submit.slurm_text import flag, variable, word
from w2s.faults import Loc, faults, place
from w2s.registry import unknown
from w2s.site_env import parse_env
from w2s.site_file import find_site
from w2s.units import mebibytes, seconds
from w2s.yaml_source import Source, parse

SHELL_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def load_site(path: str | None = None) -> Site:
    """The site: of the file at `path` (`--site`), of $W2S_SITE, of ~/.config/w2s/site.yaml or site.env, or a plain Slurm.

    Raises BadInput; several faults come as one message, a line each.
    """
    file = find_site(path)
    return Site() if file is None else _read(file)


def parse_time(written: Any) -> int:
    """Seconds from `90m`, `2:00:00`, `1-00:00:00`, or a number of them. Raises BadInput."""
    if isinstance(written, int) and not isinstance(written, bool):
        return written  # YAML itself reads 2:00:00 as a number of seconds
    return int(written) if str(written).isdigit() else seconds("", written)


def parse_memory(written: Any) -> int:
    """MiB from `64GB` or `64GiB`. Raises BadInput, for a bare number too: Slurm's are MiB, others' are bytes."""
    if str(written).strip().isdigit():
        raise BadInput("", f"'{written}' has no unit", "write it like 64GB or 512MiB")
    return mebibytes("", written)


def _read(file: Path) -> Site:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(file), f"cannot be read: {error}") from None
    source = parse_env(text, str(file)) if file.suffix == ".env" else parse(text, str(file))
    data = {} if source.data is None else source.data
    if not isinstance(data, dict):
        raise BadInput(str(file), "is no site file: a site file is a mapping, a field a line")
    return _checked(data, source, str(file))


def _checked(data: dict[str, Any], source: Source, where: str) -> Site:
    names = {_written(field.name): field.name for field in dataclasses.fields(Site)}
    wrong: list[tuple[Loc, str]] = [((name,), _unknown(name, names)) for name in data if name not in names]
    values: dict[str, Any] = {}
    try:
        model = _model().model_validate({name: value for name, value in data.items() if name in names})
        values = {own: getattr(model, name) for name, own in names.items()}
    except ValidationError as error:
        wrong += faults(error)
    if wrong:
        wrong.sort(key=lambda fault: source.line(fault[0]) or 0)
        first, *rest = [(place(loc, where, source, ()), what) for loc, what in wrong]
        raise BadInput(first[0], first[1] + "".join(f"\n{line}: {what}" for line, what in rest))
    site = Site(**values)
    if site.grace_s >= site.time_limit_s:
        what = f"notice {site.grace_s} s before the end leaves nothing of a time limit of {site.time_limit_s} s"
        raise BadInput(place(("grace",), where, source, ()), what, "write the time limit like 24h or 1-00:00:00")
    return site


def _unknown(name: str, names: Mapping[str, str]) -> str:
    if name in names.values():
        return f"is written {_written(name)}, with its unit"
    return unknown("such field", name, list(names)).replace(f"such field '{name}'", "such field", 1)


# ---- what each field may be


def _said(read: Callable[[Any], Any], value: Any) -> Any:
    """A BadInput as pydantic wants it: the place is added later."""
    try:
        return read(value)
    except BadInput as problem:
        raise ValueError(f"{problem.what}; {problem.remedy}".removesuffix("; ")) from None


def _amount(read: Callable[[Any], int]) -> Any:
    return BeforeValidator(lambda value: None if value is None else _said(read, value))


def _each(check: Callable[[str], Any]) -> Any:
    """A validator of texts: a field's, a list's elements', a mapping's names."""

    def checked(value: Any) -> Any:
        for text in value if isinstance(value, tuple | dict) else () if value is None else (value,):
            _said(check, text)
        return value

    return AfterValidator(checked)


def _lines(value: Any) -> Any:
    """A list may be written as one text, an element a line."""
    return [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    """Numbers and truths that YAML saw in an environment are the texts they were."""
    if not isinstance(value, dict):
        return value
    return {
        name: str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item
        for name, item in value.items()
    }


def _pair(value: Any) -> Any:
    match = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", value) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else value


def _range(value: tuple[int, int]) -> tuple[int, int]:
    if not 1024 <= value[0] < value[1] <= 65_535:
        raise ValueError("must be two ports from 1024 to 65535, the lower one first")
    return value


def _path(value: str | None) -> str | None:
    """A path with ~ and $VARIABLES of this shell in full. Raises ValueError for a variable that is not set here."""
    if value is None:
        return None
    for braced, plain in SHELL_VARIABLE.findall(value):
        if (braced or plain) not in os.environ:
            raise ValueError(f"${braced or plain} is not set here; write the path out")
    return str(Path(os.path.expandvars(value)).expanduser()) if value[:1] in "~$" else os.path.expandvars(value)


def _absolute(value: str | None) -> str | None:
    if value is not None and not value.startswith("/"):
        raise ValueError(f"must be an absolute path on the nodes, found '{value}'")
    return value


NAME = _each(lambda text: word(text, ""))
SPECIAL: dict[str, tuple[Any, ...]] = {
    "account": (NAME,), "partition": (NAME,), "qos": (NAME,), "constraint": (NAME,), "reservation": (NAME,), "gpu_type": (NAME,),
    "extra": (BeforeValidator(_lines), _each(flag)), "setup": (BeforeValidator(_lines),),
    "forward": (BeforeValidator(_lines), _each(variable)), "environment": (BeforeValidator(_texts), _each(variable)),
    "gpus_per_node": (Field(ge=0),), "cpus_per_node": (Field(ge=1),), "requeues": (Field(ge=0),),
    "ports": (BeforeValidator(_pair), AfterValidator(_range)),
    "memory_per_node_mib": (_amount(parse_memory),), "gpu_memory_mib": (_amount(parse_memory),),
    "time_limit_s": (_amount(parse_time), Field(ge=60)),
    "grace_s": (_amount(parse_time), Field(ge=1, le=65_535)), "up_timeout_s": (_amount(parse_time), Field(ge=1)),
    "python": (AfterValidator(_path),), "store": (AfterValidator(_path),), "jobs": (AfterValidator(_path),),
    "node_scratch": (AfterValidator(_absolute),),
}  # fmt: skip


def _written(name: str) -> str:
    """The name in the file: without the unit, which is written with the value."""
    return name.removesuffix("_mib").removesuffix("_s")


@cache
def _model() -> type[BaseModel]:
    """`Site` as a file has it: every field of it, under the file's name, with what `SPECIAL` says of it."""
    hints, plain = get_type_hints(Site), Site()
    fields: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(Site)):
        marks = SPECIAL.get(name, ())
        fields[_written(name)] = (Annotated[(hints[name], *marks)] if marks else hints[name], getattr(plain, name))
    return create_model("SiteFile", __config__=ConfigDict(extra="forbid", frozen=True), **fields)
