"""A terminal for tests: a pseudo-terminal that a program runs in, and what a person would see on it.

It knows what our display uses (line feeds, carriage returns, cursor up, erase) and keeps the rest as text, so that an
unexpected escape sequence shows up as rubbish. Like most terminals of today it folds what is too wide when it shrinks.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    """All lines that were ever shown, the last `height` of which can still be changed."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows: list[list[str]] = [[]]
        self.folded: list[bool] = [False]  # whether a row goes on in the next
        self.row = self.column = 0
        self._rest = ""

    def feed(self, text: str) -> None:
        text, self._rest = self._rest + text, ""
        place = 0
        while place < len(text):
            char = text[place]
            if char == "\x1b":
                found = SEQUENCE.match(text, place)
                if found is None and len(text) - place < 12:
                    self._rest = text[place:]
                    return
                if found is not None:
                    self._obey(found[1], found[2])
                    place = found.end()
                    continue
            self._put(char)
            place += 1

    def _obey(self, numbers: str, what: str) -> None:
        if what == "A":
            top = max(0, len(self.rows) - self.height)
            self.row = max(top, self.row - int(numbers or 1))
        elif what == "J":
            del self.rows[self.row + 1 :], self.folded[self.row + 1 :]
            del self.rows[self.row][self.column :]
            self.folded[self.row] = False
        elif what != "m":
            self._put(f"<{numbers}{what}>")

    def _put(self, char: str) -> None:
        if char == "\n":
            self._down()
        elif char == "\r":
            self.column = 0
        else:
            if self.column >= self.width:
                self.folded[self.row] = True
                self._down()
                self.column = 0
            row = self.rows[self.row]
            row.extend(" " * (self.column - len(row)))
            row[self.column : self.column + 1] = [char]
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])
            self.folded.append(False)

    def resize(self, width: int, height: int) -> None:
        """Lay all lines anew."""
        whole: list[list[str]] = [[]]
        cursor = (0, 0)
        for index, (row, folded) in enumerate(zip(self.rows, self.folded, strict=True)):
            if index == self.row:
                cursor = (len(whole) - 1, len(whole[-1]) + self.column)
            whole[-1].extend(row)
            if not folded:
                whole.append([])
        whole.pop()
        self.width, self.height = width, height
        self.rows, self.folded = [], []
        for index, line in enumerate(whole):
            if index == cursor[0]:
                self.row, self.column = len(self.rows) + cursor[1] // width, cursor[1] % width
            pieces = [line[start : start + width] for start in range(0, len(line), width)] or [[]]
            self.rows += pieces
            self.folded += [True] * (len(pieces) - 1) + [False]

    def lines(self) -> list[str]:
        pairs = zip(self.rows, self.folded, strict=True)
        return ["".join(row) if folded else "".join(row).rstrip() for row, folded in pairs]

    def text(self) -> str:
        return "\n".join(self.lines()).rstrip()


class Terminal:
    """A program in a pseudo-terminal of its own session, so that a typed ^C reaches it and its children."""

    def __init__(
        self, command: Sequence[str | Path], width: int = 80, height: int = 24, env: Mapping[str, str] | None = None
    ) -> None:
        self.screen = Screen(width, height)
        self.raw = b""
        self._master, slave = pty.openpty()
        self._set_size(slave, width, height)
        base = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**base, "TERM": "xterm-256color", **(env or {})}, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)

    def _set_size(self, descriptor: int, width: int, height: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(width, height)
        self._set_size(self._master, width, height)
        self.process.send_signal(signal.SIGWINCH)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, seen: Callable[[], bool], timeout_s: float = 30.0) -> bool:
        """Read on until something is seen, the program ends or time is up. Returns whether it was seen."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if seen():
                return True
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                raw = os.read(self._master, 65536)
            except OSError:  # all who had it open are gone
                break
            if not raw:
                break
            self.raw += raw
            self.screen.feed(raw.decode(errors="replace"))
        return seen()

    def shows(self, text: str, timeout_s: float = 30.0) -> bool:
        return self.read_until(lambda: text in self.screen.text(), timeout_s)

    def wait(self, timeout_s: float = 60.0) -> int:
        self.read_until(lambda: self.process.poll() is not None, timeout_s)
        self.read_until(lambda: False, 0.3)
        return self.process.wait(timeout_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
