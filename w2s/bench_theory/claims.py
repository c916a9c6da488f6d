"""What theory says beside what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEAD = ("claim", "expected", "seen", "holds")


@dataclass(frozen=True)
class Claim:
    """One statement. `source` says whose it is; `holds` is None where nothing is promised, only shown."""

    what: str
    source: str
    expected: str
    seen: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        return "shown" if self.holds is None else "yes" if self.holds else "NO"

    def row(self) -> tuple[str, ...]:
        return (f"{self.what} [{self.source}]", self.expected, self.seen, self.verdict)

    def to_json(self) -> dict[str, Any]:
        return {
            "claim": self.what,
            "source": self.source,
            "expected": self.expected,
            "seen": self.seen,
            "holds": self.holds,
        }


def counted(claims: Sequence[Claim]) -> str:
    """How many hold, in a sentence."""
    judged = [claim.holds for claim in claims if claim.holds is not None]
    return f"{sum(judged)} of {len(judged)} claims hold"
