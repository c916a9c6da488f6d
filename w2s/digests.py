"""Digests of local files and folders, remembered: a folder of 100 GB is read once, not at every command.

A digest is kept beside what the file was when it was read (path, size, times, inode), one small JSON file each, in the
digests folder of the w2s cache. Anything else than an exact match reads the file again; so does a cache that is damaged,
somebody else's, or cannot be written. `cluster.key` says what the digest of a folder is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.key import folder_sha256

if TYPE_CHECKING:
    from rich.progress import Progress

SMALLEST = 1 << 20  # bytes; below that, reading the file is as quick as asking
SETTLED_S = 2.0  # a file system may count time in whole seconds, so a younger file might change and look the same
PATIENCE_S = 2.0  # how long a user is left without a word
CHUNK = 8 << 20


def path_sha256(place: Path, cache: Path | None = None) -> str:
    """The digest of a file's bytes, or of a folder as `cluster.key.folder_sha256` has it. `cache` defaults to `folder()`.

    Raises OSError when it cannot be read.
    """
    kept = folder() if cache is None else cache
    with _Teller(place) as teller:
        if place.is_dir():
            return folder_sha256(place, lambda file: _file_sha256(Path(file), kept, teller))
        return _file_sha256(place, kept, teller)


def folder() -> Path:
    """Where digests are kept: $W2S_CACHE/digests, or ~/.cache/w2s/digests."""
    chosen = os.environ.get("W2S_CACHE")
    try:
        return (Path(chosen) if chosen else Path("~/.cache/w2s")).expanduser() / "digests"
    except RuntimeError:  # a user without a home: nothing can be kept below this
        return Path(os.devnull) / "digests"


def _file_sha256(file: Path, cache: Path, teller: _Teller) -> str:
    before = _stamp(file)
    if before["size"] < SMALLEST:
        return _read(file, teller)
    entry = cache / f"{hashlib.sha256(os.fsencode(before['path'])).hexdigest()}.json"
    known = _remembered(entry, before)
    if known is not None:
        return known
    digest = _read(file, teller)
    age_s = time.time() - max(before["mtime_ns"], before["ctime_ns"]) / 1e9
    if age_s >= SETTLED_S:  # kept under the stamp of before: what changed while it was read will not match it
        _remember(entry, {**before, "sha256": digest})
    return digest


def _stamp(file: Path) -> dict[str, Any]:
    """What tells one state of a file from another. ctime: the times that copying tools set back are not trusted alone."""
    facts = file.stat()
    return {
        "path": str(file.absolute()),
        "size": facts.st_size,
        "mtime_ns": facts.st_mtime_ns,
        "ctime_ns": facts.st_ctime_ns,
        "inode": facts.st_ino,
        "device": facts.st_dev,
    }


def _remembered(entry: Path, stamp: dict[str, Any]) -> str | None:
    try:
        with open(entry, encoding="utf-8") as file:
            facts = os.fstat(file.fileno())
            # who may write here decides what a model is taken for, so it must be nobody but this user
            if facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            found = json.load(file)
        digest = found.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    whole = isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return digest if whole and found == stamp else None


def _remember(entry: Path, record: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # no cache is slow, not wrong
        entry.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=entry.parent, prefix=".part-")  # readable and writable by this user alone
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(record, file)
            Path(part).replace(entry)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def _read(file: Path, teller: _Teller) -> str:
    digest = hashlib.sha256()
    with open(file, "rb", buffering=0) as raw:
        for chunk in _chunks(raw):
            digest.update(chunk)
            teller.advance(len(chunk))
    return digest.hexdigest()


def _chunks(raw: Any) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK))
    while size := raw.readinto(buffer):
        yield buffer[:size]


class _Teller:
    """Says on stderr what is being read, once that has taken a while: a bar on a terminal, one line elsewhere."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._started = time.monotonic()
        self._read = 0
        self._silent = True
        self._progress: Progress | None = None

    def __enter__(self) -> _Teller:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, count: int) -> None:
        self._read += count
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._read)
        elif self._silent and time.monotonic() - self._started > PATIENCE_S:
            self._speak()

    def _speak(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._silent = False
        console, what = (
            Console(stderr=True, soft_wrap=True, highlight=False),
            f"reading {self._place} to know its content",
        )
        if not console.is_terminal:
            console.print(f"{what} (once; it is remembered)", markup=False)
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._progress.add_task(what, total=_bytes(self._place), completed=self._read)
        self._progress.start()


def _bytes(place: Path) -> int:
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files)
