"""Does a store still hold what was put in? Every file is hashed again and compared with its receipt."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.errors import Problem
from cluster.files import Files, LocalFiles
from cluster.job import Receipt
from cluster.key import file_sha256
from cluster.seal import RECEIPT, unsealed

ProblemKind = Literal["missing", "changed", "extra", "unreadable", "no receipt", "unreadable receipt"]


@dataclass(frozen=True)
class Damage:
    """One thing wrong with one result.

    `name` is the job's ("" if its receipt cannot tell); `file` is relative to the result ("" for all of it).
    """

    key: str
    name: str
    file: str
    problem: ProblemKind

    def __str__(self) -> str:
        return f"{self.name or self.key[:12]}: {self.file or 'result'}: {self.problem}"


def verify(
    files: Files, folders: Iterable[tuple[str, str]], on_progress: Callable[[int, int], None] | None = None
) -> list[Damage]:
    """All damage in the given results, as (key, folder) pairs; `on_progress(done, total)` counts results."""
    todo = list(folders)
    damage: list[Damage] = []
    for done, (key, folder) in enumerate(todo, start=1):
        damage += inspect(files, key, folder)
        if on_progress is not None:
            on_progress(done, len(todo))
    return damage


def inspect(files: Files, key: str, folder: str) -> Iterator[Damage]:
    """The damage of one result."""
    try:
        receipt = unsealed(files.read(f"{folder}/{RECEIPT}"), key)
    except FileNotFoundError:
        yield Damage(key, "", "", "no receipt")
        return
    except (Problem, OSError):
        yield Damage(key, "", RECEIPT, "unreadable receipt")
        return
    present = set(files.walk(folder)) - {RECEIPT}
    for file in sorted(present | set(receipt.files)):
        problem = _compare(files, folder, file, file in present, receipt)
        if problem is not None:
            yield Damage(key, receipt.name, file, problem)


def _compare(files: Files, folder: str, file: str, present: bool, receipt: Receipt) -> ProblemKind | None:
    if not present:
        return "missing"
    if file not in receipt.files:
        return "extra"
    try:
        digest = _sha256(files, f"{folder}/{file}")
    except OSError:
        return "unreadable"
    return None if digest == receipt.files[file]["sha256"] else "changed"


def _sha256(files: Files, name: str) -> str:
    if isinstance(files, LocalFiles):
        return file_sha256(files.root / name)
    descriptor, temporary = tempfile.mkstemp()
    os.close(descriptor)
    try:
        files.get(name, Path(temporary))
        return file_sha256(temporary)
    finally:
        Path(temporary).unlink()
