"""The private folder of a Ray cluster that lives and dies with this process: its token, sockets and session logs."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

import psutil

PREFIX = "w2s-ray-"
PID = "pid"
OLD_S = 3600.0  # a folder without a note is another process's that has just begun, unless it is old
SHORT = Path("/tmp")  # noqa: S108 - mkdtemp makes it safe; a socket's whole path has 107 bytes
_current: list[Path] = []


def begin() -> Path:
    """A fresh folder only we can read, with a token in it; this process tree is told to use that token and no other."""
    folder = private_folder(SHORT if SHORT.is_dir() else Path(tempfile.gettempdir()), PREFIX)
    token = folder / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    # Ray turns token auth on by itself on some paths and not on others: every process is told explicitly
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    os.environ.pop("RAY_AUTH_TOKEN", None)
    _current.append(folder)
    return folder


def end() -> None:
    """Remove the folder and forget the token."""
    while _current:
        shutil.rmtree(_current.pop(), ignore_errors=True)
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
            os.environ.pop(name, None)


def private_folder(base: Path, prefix: str) -> Path:
    """A fresh folder only we can read, which counts as ours while this process lives. Raises OSError.

    Folders of processes that were killed are removed first.
    """
    _sweep(base, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))  # mkdtemp gives 0700 and a name nobody can foresee
    (folder / PID).write_text(str(os.getpid()))
    return folder


def _sweep(base: Path, prefix: str) -> None:
    """Remove what killed processes left. Ray, dying late, may make a folder anew without our note in it."""
    for folder in base.glob(prefix + "*"):
        try:
            facts = folder.stat()
            if facts.st_uid != os.getuid():
                continue
            note = folder / PID
            dead = (
                not psutil.pid_exists(int(note.read_text())) if note.exists() else time.time() - facts.st_mtime > OLD_S
            )
        except (OSError, ValueError):
            continue
        if dead:
            shutil.rmtree(folder, ignore_errors=True)
