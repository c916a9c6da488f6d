"""The live display of a run on a terminal: a picture of what runs at its foot; what ends or fails scrolls by above it.

Only a thread of its own draws, four times a second at most: a slow or halted terminal does not hold up the driver. Where
drawing fails, lines are printed instead.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.text import Text

from cluster.events import Event
from cluster.foot import Foot
from cluster.job import Job
from cluster.monitor import Lines, describe, taken
from cluster.picture import View, picture

LASTING = ("done", "failed", "skipped", "retry", "elsewhere", "waiting", "stopped", "note")
STYLES = {"failed": "red", "skipped": "yellow", "retry": "yellow", "done": "green"}
MARGIN = 1  # a terminal scrolls when its last line is full


class Display(Lines):
    """Shows what happens on the terminal `out`. `size` tells how large that is now."""

    def __init__(
        self, jobs: Mapping[str, Job], out: TextIO, size: Callable[[], os.terminal_size] | None = None
    ) -> None:
        super().__init__(jobs, out)
        self._foot = Foot(out, size)
        self._above: deque[tuple[str, str]] = deque()  # what was not printed yet, and its style
        self._failed = self._foot.is_dumb

    def show(self, event: Event) -> None:
        if self._failed:
            super().show(event)
        elif event.kind in LASTING and (line := describe(event, self.name(event.key))):
            self._above.append((line, STYLES.get(event.kind, "cyan")))

    def tick(self) -> None:
        if self._failed:
            super().tick()
            return
        above = list(taken(self._above))
        try:
            self._foot.draw(self._picture(), [Text(line, style) for line, style in [*self._told(), *above]])
        except OSError:
            raise
        except Exception as error:  # what is shown may not stop what runs
            self._failed = True
            self.say(f"the display failed ({type(error).__name__}: {error}); lines from here on")
            for line, _ in above:
                self.say(line)

    def close(self) -> None:
        if not self._failed:
            self.tick()
            self._foot.draw([])
        super().close()

    def _told(self) -> list[tuple[str, str]]:
        return [(text, "yellow") for text in self.announced()]

    def _picture(self) -> list[Text]:
        now, size = time.monotonic(), self._foot.size()
        with self.lock:
            view = View(
                self, now, now - self.started, max(1, size.columns - MARGIN), max(1, size.lines - MARGIN),
                self.doing_now, self.expected_s, self._foot.ascii_only,
            )  # fmt: skip
            return picture(view)
