"""Who decides which trials a search makes and which it stops: the contract, and the adviser that decides nothing.

A search asks its adviser what to try, tells it how each trial does at every evaluation (a rung), and hears which trials to
let go. Tune (tune_adviser.py) is one adviser. A fixed list is another: random and grid searches that stop nothing need no
more, and then all trials are known at once, so that small ones can be done together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Ask:
    """A trial's wish for its report number `rung` (from 1; 0: all of it, in one go).

    `trial` names a trial of the search's own; "" for a member of a population, which is `member` with its `values` from now
    on, after `history`: the values of the rungs behind it.
    """

    id: str
    rung: int
    trial: str = ""
    member: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Reply:
    """What an adviser hears of a trial at a rung: the objective (larger is better; None: no number, which is the worst);
    whether that was its last; how it failed."""

    objective: float | None
    last: bool = False
    failed: str = ""


class Suggester(Protocol):
    """A source of trials that learns from how they did."""

    def suggest(self) -> str | None:
        """The name of the next trial; None where there is to be none."""
        ...

    def tell(self, trial: str, objective: float | None) -> None:
        """How a trial did in the end (None: it failed or was let go before it told anything)."""
        ...


class Adviser(Protocol):
    """Called by the search from one thread."""

    def asks(self) -> list[Ask]:
        """What is wished for since the last call. Every ask is answered by one `tell`, or its trial is let go."""
        ...

    def tell(self, ask: Ask, reply: Reply) -> None:
        """Answer one ask."""
        ...

    def let_go(self) -> list[tuple[str, int]]:
        """Trials that are to be stopped since the last call, each with the last rung it told. They may be asked for again."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing more will be asked."""
        ...

    def close(self) -> None:
        """End it now, whatever is still open. Raises BadEnvironment if the adviser itself has broken."""
        ...


class SuggestedAdviser:
    """Trials as they are suggested, some at once, each to its end."""

    def __init__(self, suggester: Suggester, count: int, at_once: int) -> None:
        self._suggester, self._left, self._at_once = suggester, count, at_once
        self._open: set[str] = set()

    def asks(self) -> list[Ask]:
        new: list[Ask] = []
        while self._left > 0 and len(self._open) < self._at_once:
            trial = self._suggester.suggest()
            if trial is None:
                self._left = 0
                break
            self._left -= 1
            self._open.add(trial)
            new.append(Ask(trial, 0, trial))
        return new

    def tell(self, ask: Ask, reply: Reply) -> None:
        if ask.trial in self._open:
            self._open.remove(ask.trial)
            self._suggester.tell(ask.trial, reply.objective)

    def let_go(self) -> list[tuple[str, int]]:
        return []

    @property
    def over(self) -> bool:
        return not self._left and not self._open

    def close(self) -> None:
        self._left, self._open = 0, set()


class ListAdviser:
    """All trials of a list, each to its end."""

    def __init__(self, trials: Sequence[str]) -> None:
        self._new = [Ask(trial, 0, trial) for trial in trials]
        self._open = set(trials)

    def asks(self) -> list[Ask]:
        new, self._new = self._new, []
        return new

    def tell(self, ask: Ask, reply: Reply) -> None:
        self._open.discard(ask.trial)

    def let_go(self) -> list[tuple[str, int]]:
        return []

    @property
    def over(self) -> bool:
        return not self._open

    def close(self) -> None:
        self._new, self._open = [], set()
