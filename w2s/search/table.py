"""The trial table: what every trial of a search is and became. It is the truth about a search; all else can be made anew.

A folder below `store.searches` (which one: `w2s.search.searched.search_folder`) holds `trials.jsonl`, one JSON object a line,
one line whenever something happens to a trial; a trial's last line counts. Lines are only ever added, each in one write that
is waited for, so a driver that is killed at any moment loses no whole line; a torn one is passed over and told. One driver at
a time writes; anyone may read.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from pydantic import TypeAdapter, ValidationError

from cluster.disk import sync, told
from cluster.errors import BadEnvironment
from w2s.search.columns import write_parquet

TABLE, LOCK = "trials.jsonl", "driver.lock"
MEMBER = "member-"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
Status: TypeAlias = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Row:
    """A trial as it stands. `keys` are stage keys by role ("student", "transfer"); a report is what one evaluation said."""

    trial: str
    number: int
    overrides: Mapping[str, Any]
    status: Status
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reports: tuple[Mapping[str, float | int | None], ...] = ()
    metrics: Mapping[str, float | int | bool | str | None] = field(default_factory=dict)
    seconds: float = 0.0
    attempt: int = 1

    @property
    def is_member(self) -> bool:
        """Whether it is one of a population, and no trial of its own values."""
        return self.trial.startswith(MEMBER)

    def to_json(self) -> str:
        """One line. A number that JSON does not have (NaN, infinity) becomes null."""
        return json.dumps(_finite(asdict(self)), separators=(",", ":"), ensure_ascii=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Row:
        """Raises ValueError for what is no row. Fields that this program does not know are left out."""
        return _ROW.validate_json(text)


_ROW: TypeAdapter[Row] = TypeAdapter(Row)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def member(number: int) -> str:
    """What stands for a trial's key in the row of one of a population, whose values change."""
    return f"{MEMBER}{number}"


class Table:
    """The table in a folder. Make one with `Table.open`, to read; `writing=True` takes the driver's lock until `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / TABLE
        self.damaged: tuple[int, ...] = ()
        """The lines (from 1) that were passed over when rows were last read."""
        self.unlocked = ""
        """Why no lock keeps a second driver away; "" where one does."""
        self._lock: int | None = None
        self._out: int | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, writing: bool = False) -> Table:
        """A table to read; with `writing`, to append to, for one driver at a time.

        Raises BadEnvironment where another driver writes it, or where the folder cannot be read or made.
        """
        table = cls(Path(folder))
        with table._told():
            if writing:
                table.folder.mkdir(parents=True, exist_ok=True)
                table._take_lock()
                try:
                    table._out = os.open(table.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
                    sync(table.folder)
                except OSError:
                    table.close()
                    raise
        return table

    def close(self) -> None:
        """Let another driver write."""
        for descriptor in (self._out, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._out = self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def append(self, row: Row) -> None:
        """Add a line, and wait until it is on the disk. Raises BadEnvironment where it cannot be (it may then be there in part)."""
        assert self._out is not None, "open the table with writing=True"
        line = row.to_json().encode() + b"\n"
        with self._told():
            if self._is_torn():
                line = b"\n" + line  # what was torn stays a line of its own
            written = os.write(self._out, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))
            os.fsync(self._out)

    def rows(self) -> dict[str, Row]:
        """Trial key -> its row, in order of number; reads the whole file. What cannot be read is passed over, see `damaged`."""
        with self._told():
            try:
                lines = self.file.read_bytes().split(b"\n")
            except FileNotFoundError:
                lines = []
        found: dict[str, Row] = {}
        damaged: list[int] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = Row.from_json(line)
            except (ValidationError, ValueError):
                damaged.append(number)
                continue
            found[row.trial] = row
        self.damaged = tuple(damaged)
        return {row.trial: row for row in sorted(found.values(), key=lambda row: (row.number, row.trial))}

    def export(self, file: Path) -> None:
        """Write the rows as parquet, one a trial; see `w2s.search.columns.arrow_table`. Raises BadEnvironment."""
        write_parquet(list(self.rows().values()), file)

    def notes(self) -> tuple[str, ...]:
        """What a user should hear about the table: lines passed over by the last `rows`, a lock that could not be had."""
        found: list[str] = []
        if self.damaged:
            shown = ", ".join(map(str, self.damaged[:5])) + (", ..." if len(self.damaged) > 5 else "")
            count = "1 line is" if len(self.damaged) == 1 else f"{len(self.damaged)} lines are"
            found.append(
                f"{self.file}: {count} damaged and passed over (line {shown}); their trials are done again at most"
            )
        if self.unlocked:
            found.append(f"{self.folder}: {self.unlocked}; let only one driver search here at a time")
        return tuple(found)

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # the latter is how some network filesystems say it
            holder = os.pread(self._lock, 200, 0).decode(errors="replace").strip() or "unknown"
            self.close()
            what = f"another driver ({holder}) is at work on this search"
            raise BadEnvironment(
                str(self.folder), what, "wait until it ends, or stop it; then the same command goes on"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self.unlocked = f"this filesystem has no locks ({error.strerror})"
            return
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def _is_torn(self) -> bool:
        assert self._out is not None
        size = os.fstat(self._out).st_size
        return size > 0 and os.pread(self._out, 1, size - 1) != b"\n"

    def _told(self) -> Any:
        return told("trial table", self.file)
