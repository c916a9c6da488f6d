"""What one searched field may be: a range of numbers, or a list of values; each as YAML shows it.

    {uniform: [0, 0.9]}              any number; with `step: 0.1`, 0, 0.1, ... 0.9
    {loguniform: [1.0e-5, 1.0e-3]}   any number, its logarithm uniform
    {integers: [1, 8]}               a whole number, both ends included; with `step: 2`, 1, 3, 5, 7
    {choice: [a, b, [c, d]]}         one of the values, which may be lists and mappings; a bare list means the same

Each may have `when: {other.path: value}` (or a list of values): it is drawn only where the other field has such a value.
A search algorithm maps a number by `low`, `high`, `spacing`, `log` and `kind` (float or int), a choice by `choice`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from cluster.key import canonical_json
from w2s.config import Config

DIGITS = 6  # of a drawn number: a recipe should be readable
FEW = 1e-9  # of a step: rounding may not lose the last value
MOST_VALUES = 100_000


class _Domain(Config):
    when: dict[str, tuple[Any, ...]] = Field(
        {}, description="drawn only where each of these fields has the value, or one of the values"
    )

    @field_validator("when", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        listed = {str(path): tuple(one) if isinstance(one, list | tuple) else (one,) for path, one in value.items()}
        empty = [path for path, values in listed.items() if not values]
        if empty:
            raise ValueError(f"{empty[0]} can have none of no values: name one")
        return listed


class _Number(_Domain):
    """A range of numbers. Not continuous where `spacing` is set: low, low + spacing, ... high."""

    @property
    def ends(self) -> tuple[float, float]:
        raise NotImplementedError

    @property
    def low(self) -> float:
        return self.ends[0]

    @property
    def high(self) -> float:
        """The highest value there is: with a step, the last one on the way to the end that was written."""
        if self.spacing is None:
            return self.ends[1]
        return self._on_grid(self._count - 1)

    @property
    def spacing(self) -> float | None:
        return getattr(self, "step", None)

    @property
    def log(self) -> bool:
        return False

    @property
    def kind(self) -> Literal["float", "int"]:
        return "float"

    @property
    def _count(self) -> int:
        assert self.spacing is not None, "a continuous domain has no number of values"
        low, high = self.ends
        return math.floor((high - low) / self.spacing + FEW) + 1

    def _on_grid(self, index: int) -> float:
        assert self.spacing is not None
        return float(f"{self.low + index * self.spacing:.12g}")

    def at(self, share: float) -> float:
        """The value below which `share` of the domain lies; share in [0, 1)."""
        low, high = self.ends
        if self.spacing is not None:
            return self._on_grid(int(share * self._count))
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        return min(max(float(f"{value:.{DIGITS}g}"), low), high)

    def every(self) -> tuple[float, ...] | None:
        """All values, in order; None where there is no end of them."""
        return None if self.spacing is None else tuple(self._on_grid(i) for i in range(self._count))

    def corners(self) -> tuple[float, ...]:
        """The outermost values: what is legal there is taken to be legal between."""
        return (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether a value is one that may be drawn."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return self.spacing is None or value in (self.every() or ())

    @model_validator(mode="after")
    def _in_order(self) -> _Number:
        low, high = self.ends
        if low >= high:
            raise ValueError(f"[{low:g}, {high:g}] is no range: write the lower end first, the higher one second")
        if self.spacing is not None and self._count < 2:
            raise ValueError(f"a step of {self.spacing:g} does not fit between {low:g} and {high:g}")
        if self.spacing is not None and self._count > MOST_VALUES:
            raise ValueError(
                f"a step of {self.spacing:g} makes {self._count:,} values of it, more than {MOST_VALUES:,}"
            )
        return self


class Uniform(_Number):
    """Any number between two; or every so many from the first."""

    uniform: tuple[float, float] = Field(description="lowest and highest")
    step: float | None = Field(None, gt=0, description="from the lowest in such steps; null for any number")

    @property
    def ends(self) -> tuple[float, float]:
        return self.uniform


class Loguniform(_Number):
    """Any number between two above 0, its logarithm uniform."""

    loguniform: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        description="lowest and highest"
    )

    @property
    def ends(self) -> tuple[float, float]:
        return self.loguniform

    @property
    def log(self) -> bool:
        return True


class Integers(_Number):
    """A whole number, both ends included."""

    integers: tuple[int, int] = Field(description="lowest and highest")
    step: int = Field(1, ge=1, description="from the lowest in such steps")

    @property
    def ends(self) -> tuple[float, float]:
        return self.integers

    @property
    def kind(self) -> Literal["float", "int"]:
        return "int"

    def _on_grid(self, index: int) -> int:
        return self.integers[0] + index * self.step


class Choice(_Domain):
    """One of some values, plain YAML of any kind."""

    choice: tuple[Any, ...] = Field(max_length=MOST_VALUES, description="the values")

    @field_validator("choice")
    @classmethod
    def _plain_and_different(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("is empty: name at least one value")
        seen: set[str] = set()
        for one in value:
            try:
                text = canonical_json(one)
            except TypeError as error:
                raise ValueError(f"{one!r} is not plain YAML: {error}") from None
            if text in seen:
                raise ValueError(f"{text} is there twice: keep one of them")
            seen.add(text)
        return value

    @property
    def kind(self) -> Literal["choice"]:
        return "choice"

    def at(self, share: float) -> Any:
        """The value below which `share` of the list lies; share in [0, 1)."""
        return self.choice[int(share * len(self.choice))]

    def every(self) -> tuple[Any, ...]:
        return self.choice

    def corners(self) -> tuple[Any, ...]:
        return self.choice

    def holds(self, value: Any) -> bool:
        return any(same(value, one) for one in self.choice)


DOMAINS: dict[str, type[Uniform | Loguniform | Integers | Choice]] = {
    "uniform": Uniform,
    "loguniform": Loguniform,
    "integers": Integers,
    "choice": Choice,
}
CHOICES = (*DOMAINS, "step", "when")
"""What may be written in a domain."""


def same(value: Any, other: Any) -> bool:
    """Equal as YAML has it: 1 is 1.0, and neither is true."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return {"choice": value}
    if isinstance(value, tuple(DOMAINS.values())):
        return value
    found = [name for name in DOMAINS if isinstance(value, dict) and name in value]
    if len(found) != 1:
        what = f"is both {' and '.join(found)}" if found else "does not say from where to draw"
        raise ValueError(f"{what}: write one of uniform: [0, 0.9], loguniform: [...], integers: [...], choice: [...]")
    return value


def _which(value: Any) -> str | None:
    names = value if isinstance(value, dict) else type(value).model_fields
    return next((name for name in DOMAINS if name in names), None)


if TYPE_CHECKING:
    Domain: TypeAlias = Uniform | Loguniform | Integers | Choice
else:
    Domain = Annotated[
        Annotated[
            Annotated[Uniform, Tag("uniform")]
            | Annotated[Loguniform, Tag("loguniform")]
            | Annotated[Integers, Tag("integers")]
            | Annotated[Choice, Tag("choice")],
            Discriminator(_which),
        ],
        BeforeValidator(_listed),
    ]
