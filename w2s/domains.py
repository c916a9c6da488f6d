"""Tasks whose own rows are of several domains: a column says which, and lists of its values make the sides of a shift.

class Config(DomainConfig): ...

side, in_test = config.placed(domain)      where a row goes; None for a row of a domain that is not named
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from w2s.examples import Side
from w2s.task import TaskConfig


def _texts(value: Any) -> Any:
    """One value is a list of one; numbers, as YAML reads them, are their digits."""
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(named(one) for one in values)


def named(value: Any) -> str:
    """A value of the column as it is written in a recipe: 3, 3.0 and "3" are one domain."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


Values = Annotated[tuple[str, ...] | None, BeforeValidator(_texts)]


class DomainConfig(TaskConfig):
    """A task that may shift from some domains to others. Without `domain` it is as if there were none."""

    domain: str | None = Field(
        None, description="column; with source and shift, supervisors and students learn in different domains"
    )
    source: Values = Field(None, description="values of domain: where supervisors learn")
    shift: Values = Field(None, description="values of domain: where students learn")
    test: Values = Field(
        None, description="values of domain: what all are tested on (default: test_share of shift, or test_path)"
    )

    @model_validator(mode="after")
    def _whole(self) -> DomainConfig:
        if (self.domain is None) != (not self.source) or (self.domain is None) != (not self.shift):
            raise ValueError("domain, source and shift go together: give all three, or none")
        if self.test is not None and self.domain is None:
            raise ValueError("test names values of domain: give domain, source and shift, too")
        every = [*(self.source or ()), *(self.shift or ()), *(self.test or ())]
        twice = sorted({value for value in every if every.count(value) > 1})
        if twice:
            raise ValueError(f"domain {twice[0]} is named twice among source, shift and test")
        if self.test is not None and getattr(self, "test_path", None) is not None:
            raise ValueError("test and test_path both say which rows are tested on; give one")
        return self

    def identity(self) -> dict[str, Any]:
        """As it enters a key. A task of one domain is what it was before there were several."""
        fields = super().identity()
        if self.domain is None:
            for name in ("domain", "source", "shift", "test"):
                del fields[name]
        return fields

    @property
    def sided(self) -> bool:
        return self.domain is not None

    @property
    def domains(self) -> tuple[str, str]:
        return ", ".join(self.source or ()), ", ".join(self.shift or ())

    def placed(self, domain: str, *, drawn: bool, test_file: bool) -> tuple[Side, bool] | None:
        """The side of a row of this domain, and whether it is a test row; None for a row that is left out.

        `drawn`: its group's hash is within test_share; `test_file`: it is in test_path, whose rows are tested on and no others.
        """
        own_file = getattr(self, "test_path", None) is not None
        if domain in (self.test or ()):
            return "shift", True
        if domain in (self.shift or ()):
            return "shift", test_file or (drawn and self.test is None and not own_file)
        return ("source", False) if domain in (self.source or ()) and not test_file else None
