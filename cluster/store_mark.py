"""A mark in a store, for doctors: what one machine has written there, do the others see it, and can they write beside it?"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.errors import Problem
from cluster.files import LocalFiles, open_files

PREFIX = ".doctor-"


@contextmanager
def marked(store: str) -> Iterator[str]:
    """A folder in the store with a mark of ours in it, by its name; it is gone afterwards, and so is a store it made.

    Raises OSError, or what a remote filesystem raises, where the store cannot be written to.
    """
    files = open_files(store)
    folder = f"{PREFIX}{secrets.token_hex(6)}"
    was_there = not isinstance(files, LocalFiles) or files.root.exists()
    files.create(f"{folder}/here", socket.gethostname().encode())
    try:
        yield folder
    finally:
        files.remove_tree(folder)
        if not was_there and isinstance(files, LocalFiles):
            files.root.rmdir()


def store_fault(store: str, mark: str) -> str:
    """Why this machine cannot work with the store; "" when it sees the mark and can write beside it."""
    try:
        files = open_files(store)
        if not files.exists(f"{mark}/here"):
            return "is another folder there" if isinstance(files, LocalFiles) else "does not show what was written here"
        files.create(f"{mark}/{socket.gethostname()}-{os.getpid()}", b"")
    except Problem as problem:
        return str(problem)
    except Exception as error:  # whatever a filesystem or a cloud client raises
        words = str(error).strip().split("\n")[0] or type(error).__name__
        return f"cannot be written to: {words}"
    return ""


def absolute(store: str) -> str:
    """The store as other machines must be told it: a path with nothing left out; a URL as it is."""
    return open_files(store).url
