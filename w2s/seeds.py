"""How seeds are written: a count, or a list of different whole numbers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

MAX_SEEDS = 1_000  # a larger number is one seed written without its brackets


def _counted(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if not 1 <= value <= MAX_SEEDS:
        raise ValueError(f"{value} seeds asked for; give a count from 1 to {MAX_SEEDS:,}, or a list of seeds")
    return tuple(range(value))


def _distinct(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) != len(value):
        raise ValueError(f"seeds repeat: {list(value)}")
    if any(not 0 <= seed < 2**31 for seed in value):
        raise ValueError("seeds are whole numbers from 0 to 2147483647")
    return value


_Listed = Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_SEEDS)]
Seeds = Annotated[_Listed, BeforeValidator(_counted), AfterValidator(_distinct)]
"""`5` means seeds 0 to 4; `[3, 7]` means those two."""
