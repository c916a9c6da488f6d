"""How a finished result becomes visible: all of it at once, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.disk import SUFFIX_BYTES, remove_tree, sync, walk_files, write_durably
from cluster.errors import StageFailed
from cluster.files import Files
from cluster.job import Receipt
from cluster.key import file_sha256
from cluster.seal import RECEIPT, sealed, unsealed

OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)


def digested(out: Path, receipt: Receipt) -> Receipt:
    """The receipt with a digest of every file in `out`, each of them flushed to the disk.

    Raises StageFailed for a symbolic link (its target may go away) or anything else that is not a plain file.
    """
    files: dict[str, dict[str, Any]] = {}
    for name in walk_files(out):
        path = out / name
        if name == RECEIPT:  # left by a commit that found no room; written anew
            continue
        # lstat, as is_file() would call a file that a quicker committer has just published "not a file"
        if not stat.S_ISREG(path.lstat().st_mode):
            what = f"left {name}, which is not a plain file"
            raise StageFailed(receipt.name, what, "copy what it points at into the result")
        sync(path)
        files[name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
    return replace(receipt, files=files)


def publish_local(out: Path, target: Path, receipt: Receipt, set_aside: Callable[[], object]) -> None:
    """Write the receipt into `out`, then rename `out` to `target`.

    `set_aside` is called for a folder without a receipt that stands in the way. Raises FileNotFoundError or
    FileExistsError when another committer was quicker.
    """
    # The temporary file lies beside `out`: were it inside, another committer's rename could publish it.
    temporary = out.parent / f".{RECEIPT}.{secrets.token_hex(SUFFIX_BYTES)}"
    try:
        write_durably(temporary, sealed(receipt))
        temporary.replace(out / RECEIPT)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    for folder, _, _ in os.walk(out):
        sync(Path(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not (target / RECEIPT).exists():
        set_aside()
    try:
        out.rename(target)
    except OSError as error:
        if error.errno in OCCUPIED:
            raise FileExistsError(error.errno, error.strerror, str(target)) from None
        raise
    sync(target.parent)


def publish_remote(files: Files, out: Path, folder: str, receipt: Receipt) -> None:
    """Upload every file, the receipt last: a result without one does not count. Leases keep other uploaders away."""
    files.remove_tree(folder)  # what an interrupted upload left
    for name in receipt.files:
        files.put(out / name, f"{folder}/{name}")
    files.replace(f"{folder}/{RECEIPT}", sealed(receipt))


def download(files: Files, folder: str, to: Path, raw: bytes, key: str) -> None:
    """Copy a remote result into the local folder `to`, whole or not at all; `raw` is its receipt.

    Raises StageFailed when a file is missing or is not what the receipt says.
    """
    receipt = unsealed(raw, key)
    arriving = to.parent / f".{to.name}.{secrets.token_hex(SUFFIX_BYTES)}"
    try:
        arriving.mkdir(parents=True)
        for name, facts in receipt.files.items():
            target = arriving / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                files.get(f"{folder}/{name}", target)
            except FileNotFoundError:
                raise _damaged(receipt, name, "is missing") from None
            if file_sha256(target) != facts["sha256"]:
                raise _damaged(receipt, name, "is not what was stored")
        (arriving / RECEIPT).write_bytes(raw)
        remove_tree(to)  # an older download of a result that was built again
        try:
            arriving.rename(to)
        except OSError as error:
            if error.errno not in OCCUPIED:  # another process downloaded the same
                raise
    finally:
        remove_tree(arriving)


def _damaged(receipt: Receipt, name: str, what: str) -> StageFailed:
    remedy = "verify the store; a result that is set aside is built again"
    return StageFailed(receipt.name, f"stored file {name} {what}", remedy)
