"""The foot of a terminal: some lines that are drawn anew in place, while lasting lines scroll by above them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

DEFAULT = os.terminal_size((80, 24))


class Foot:
    """Draws on `out`. Each call is one write, so that nothing flickers; nothing is written where nothing has changed."""

    def __init__(self, out: TextIO, size: Callable[[], os.terminal_size] | None = None) -> None:
        self._out = out
        self.size = size or (lambda: _size(out))
        self._console = Console(file=out, highlight=False, markup=False, emoji=False)
        self._drawn: list[str] = []

    @property
    def ascii_only(self) -> bool:
        """Whether the terminal's encoding lacks line drawing."""
        return self._console.options.ascii_only

    @property
    def is_dumb(self) -> bool:
        """Whether the terminal cannot move its cursor."""
        return self._console.is_dumb_terminal

    def draw(self, lines: Sequence[Text], above: Sequence[Text] = ()) -> None:
        """Put `lines` at the foot (none: take the foot away), after printing `above` for good. Raises OSError."""
        plain = [line.plain for line in lines]
        if plain == self._drawn and not above:
            return
        lasting = "".join(f"{self._ansi(line)}\n" for line in above)
        # the cursor rests at the start of the last line: what a user types, ^C too, wraps no line
        foot = "\n".join(map(self._ansi, lines)) + ("\r" if lines else "")
        self._out.write(self._erase() + lasting + foot)
        self._out.flush()
        self._drawn = plain

    def _erase(self) -> str:
        if not self._drawn:
            return ""
        # a terminal that became narrower has folded what was drawn
        width = max(1, self.size().columns)
        up = sum(max(1, -(-cell_len(line) // width)) for line in self._drawn[:-1])
        return "\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J"

    def _ansi(self, line: Text) -> str:
        with self._console.capture() as found:
            self._console.print(line, end="", soft_wrap=True)
        return found.get()


def _size(out: TextIO) -> os.terminal_size:
    """Asked anew each time: a window may change between any two frames."""
    try:
        found = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return DEFAULT
    return found if found.columns and found.lines else DEFAULT
