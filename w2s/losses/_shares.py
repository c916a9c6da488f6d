"""A weight that may change as training goes on: one number, or several that hold one after another over equal shares of it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag

from w2s.loss import Number

MOST = 64
SLACK = 1e-9  # progress * n lies that near a whole number only where step * n / total is one

_One = Annotated[float, Field(ge=0, le=1)]
_Several = Annotated[tuple[_One, ...], Field(min_length=1, max_length=MOST)]
_FLOAT, _TUPLE = "float[0, 1]", "tuple[float, ...]"

T = TypeVar("T")


def _form(value: Any) -> str:
    # told apart by form, so that a fault is told of the one that was meant
    return _TUPLE if isinstance(value, list | tuple) else _FLOAT


def _plain(value: float | tuple[float, ...]) -> float | tuple[float, ...]:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


Shares: TypeAlias = Annotated[
    Annotated[Annotated[_One, Tag(_FLOAT)] | Annotated[_Several, Tag(_TUPLE)], Discriminator(_form)],
    AfterValidator(_plain),
]
"""A number in [0, 1], or 1 to 64 of them; a tuple of one is that number, with the same key."""


def share(progress: float, count: int) -> int:
    """Which of `count` equal shares of training `progress` in [0, 1] falls into: of step s of S, s * count // S exactly."""
    return min(count - 1, int(progress * count + SLACK))


def now(value: Number | tuple[Number, ...], progress: float) -> Number:
    """The number that holds at `progress`."""
    return value[share(progress, len(value))] if isinstance(value, tuple) else value


def repeated(decided: tuple[T, ...], count: int) -> tuple[T, ...]:
    """`count` numbers of which only the first are decided: the last of those is repeated. Raises ValueError without room."""
    if not 1 <= len(decided) <= count:
        raise ValueError(f"{len(decided)} of {count} shares are decided: give 1 to {count}")
    return decided + decided[-1:] * (count - len(decided))
