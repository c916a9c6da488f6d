"""TensorBoard kept up to date while a search runs: written anew when a trial has ended, but never for long."""

from __future__ import annotations

import time
from collections.abc import Callable

from cluster.errors import Problem
from cluster.events import Event, Listener

LEAST_S = 10.0
SHARE = 0.02  # of the driver's time at most


class Refresh:
    """A listener that passes everything on, and calls `redraw` after news of a trial, if the last time is long enough ago."""

    def __init__(
        self, emit: Listener, redraw: Callable[[], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._emit, self._redraw, self._clock = emit, redraw, clock
        self._next = clock() + LEAST_S
        self._broken = False

    def __call__(self, event: Event) -> None:
        self._emit(event)
        if event.kind != "note" or event.key or self._broken or self._clock() < self._next:
            return  # a note of no stage is the driver's own: a trial has ended, a member has done a round
        began = self._clock()
        try:
            self._redraw()
        except Problem as problem:  # what is shown may not stop what is searched
            self._broken = True
            self._emit(Event("note", data={"text": f"TensorBoard is not kept up to date: {problem}"}))
        self._next = self._clock() + max(LEAST_S, (self._clock() - began) / SHARE)
