"""A local disk: writing that survives a power cut, walking, removing, and its refusals told as records."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import BadEnvironment, Problem

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
SUFFIX_BYTES = 6  # random names of temporary files


@contextlib.contextmanager
def told(where: str, place: Path | str, *, remote: bool = False) -> Iterator[None]:
    """Turns what a filesystem raises into BadEnvironment: `where` was at work on `place`.

    With `remote`, anything but a Problem is translated: cloud clients raise kinds of their own.
    """
    try:
        yield
    except Problem:
        raise
    except OSError as error:
        raise trouble(where, place, error) from None
    except Exception as error:
        if not remote:
            raise
        remedy = "check the network and the credentials; finished work is kept and the same command goes on"
        raise BadEnvironment(where, f"{place}: {type(error).__name__}: {error}", remedy) from None


def trouble(where: str, place: Path | str, error: OSError) -> BadEnvironment:
    """A filesystem's refusal as a record: which path, how much room is left, what to do."""
    path = str(error.filename or place)
    if error.errno in FULL_DISK:
        what = f"no room to write {path} ({error.strerror}; {_free(path)})"
        return BadEnvironment(where, what, "free some space: finished work is kept, and the same command goes on")
    if error.errno in NO_ACCESS:
        what = f"cannot write {path} ({error.strerror})"
        return BadEnvironment(where, what, "choose a folder you may write to, or have its permissions changed")
    what = f"{path}: {error.strerror or error or type(error).__name__}"
    return BadEnvironment(where, what, "finished work is kept, and the same command goes on once this is mended")


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some filesystems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def walk_files(folder: Path) -> list[str]:
    """Every file (and symbolic link) below a local folder, relative to it, sorted."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        found += [here / name for name in files]
        found += [here / name for name in folders if (here / name).is_symlink()]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def remove_tree(folder: Path) -> None:
    """Remove a local folder; a missing one is fine.

    It is moved aside first, so that it goes in one step and a process believed dead cannot write into what is removed.
    """
    aside = folder.parent / f".{folder.name}.{secrets.token_hex(SUFFIX_BYTES)}"
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _free(path: str) -> str:
    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return f"{shutil.disk_usage(place).free / 2**20:,.0f} MiB free on {place}"
    except OSError:
        return "free space unknown"
