"""An order: what a user hands to a batch system, as a value. Written once as `order.json`; everybody else reads it.

An order's commands run against one Ray cluster of the order's size. An array is an order of several elements, each with a
cluster of its own; an element of several commands is a pack, whose commands share that cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cluster.errors import BadInput

FORMAT = 1
RAY_ADDRESS = "{ray-address}"  # stands in a command for the address of the cluster that will be there
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Backend = Literal["slurm", "ray"]


@dataclass(frozen=True)
class Size:
    """The cluster an element needs. `gpus`, `cpus` and `memory_mib` are a node's; `memory_mib` None: all a node has."""

    nodes: int = 1
    gpus: int = 0
    cpus: int = 1
    memory_mib: int | None = None
    time_s: int = 86_400


@dataclass(frozen=True)
class Command:
    """One driver: its arguments after the interpreter (`-m w2s run ...`), and the name people know it by."""

    name: str
    argv: tuple[str, ...]

    def at(self, address: str) -> tuple[str, ...]:
        """The arguments with the cluster's address in its place."""
        return tuple(address if word == RAY_ADDRESS else word for word in self.argv)


@dataclass(frozen=True)
class Order:
    """What was ordered. `folder` is the order's own, absolute and seen by every node; `environment` is exported there."""

    id: str
    backend: Backend
    folder: str
    store: str
    recipe: str  # as the user named it
    elements: tuple[tuple[Command, ...], ...]
    size: Size = Size()
    dependency: str = ""  # for Slurm: afterok:123
    throttle: int = 0  # elements at a time; 0: as many as fit
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_array(self) -> bool:
        return len(self.elements) > 1

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Order:
        """The inverse of `to_json`. Raises BadInput for a newer format or a text that is no order."""
        try:
            fields: dict[str, Any] = json.loads(text)
            written = fields.pop("format")
            if written > FORMAT:
                raise BadInput("order", f"has format {written}; this program reads up to {FORMAT}", "upgrade w2s")
            elements = tuple(
                tuple(Command(command["name"], tuple(command["argv"])) for command in element)
                for element in fields.pop("elements")
            )
            return cls(**{**fields, "elements": elements, "size": Size(**fields["size"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput("order", f"cannot be read: {error}", "submit it again") from None


@dataclass(frozen=True)
class Placed:
    """Where an order went. `handle` is the batch system's own name for it: a Slurm job's number, a Ray submission's id.

    `where` is the Ray cluster's address ("" for Slurm, whose commands know); `time` is seconds since the epoch.
    """

    id: str
    handle: str
    where: str
    user: str
    host: str
    time: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Placed:
        """The inverse of `to_json`. Raises BadInput."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise BadInput("placed.json", f"cannot be read: {error}", "submit it again") from None


def checked_id(text: str) -> str:
    """An order's id, which is part of paths and of batch systems' names. Raises BadInput."""
    if not ID.fullmatch(text):
        raise BadInput(
            f"job '{text[:80]}'", "is no job's name", "letters, digits, '.', '_' and '-'; `w2s status` lists them"
        )
    return text
