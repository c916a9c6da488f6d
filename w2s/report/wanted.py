"""A recipe as it was asked for: what the user typed, and what the run that ends with its report did."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from cluster.files import shown
from w2s.load import Written


@dataclass(frozen=True)
class LastRun:
    """How many stages a run found in the store, of how many."""

    cached: int
    total: int


@dataclass(frozen=True)
class Wanted:
    """A recipe of a report. `last_run` is None where no run has just ended."""

    reference: str
    overrides: tuple[str, ...]
    written: Written
    last_run: LastRun | None = None

    def command(self, store: str = "", verb: str = "run") -> str:
        """What runs it: `w2s run quickstart method.alpha=0.3`. Secrets in a store's url are left out."""
        where = shown(store) if "://" in store else store
        return shlex.join(["w2s", verb, self.reference, *self.overrides, *(["--store", where] if where else [])])
