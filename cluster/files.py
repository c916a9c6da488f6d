"""The few file operations a store is made of, on a local disk or on any fsspec filesystem.

Names are slash-separated paths below a root. Only the remote kind imports fsspec, and only when one is opened.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from cluster.disk import SUFFIX_BYTES, remove_tree, walk_files, write_durably
from cluster.errors import BadInput
from cluster.key import KEY_LENGTH

KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")


class Files(Protocol):
    """File operations below one root. A missing file raises FileNotFoundError; a missing folder is an empty one."""

    url: str

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes: ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not exist yet. False when it does: of several racers exactly one gets True."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Write a file whole: readers see the old bytes or the new ones."""
        ...

    def names(self, folder: str) -> list[str]:
        """What lies directly inside a folder, sorted; names that begin with a dot are left out."""
        ...

    def walk(self, folder: str) -> list[str]:
        """Every file below a folder, relative to it, sorted."""
        ...

    def get(self, name: str, to: Path) -> None:
        """Copy one file to a local path whose folder exists."""
        ...

    def put(self, source: Path, name: str) -> None:
        """Copy one local file here."""
        ...

    def move(self, source: str, target: str) -> None:
        """Move one file or one folder."""
        ...

    def remove(self, name: str) -> None:
        """Remove one file; a missing one is fine."""
        ...

    def remove_tree(self, folder: str) -> None:
        """Remove a folder and all below it; a missing one is fine."""
        ...


class LocalFiles:
    """Files on a mounted disk (local, NFS, Lustre)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def create(self, name: str, data: bytes) -> bool:
        target = self.root / name
        temporary = self._temporary(target)
        try:
            write_durably(temporary, data)
            return _link_exclusively(temporary, target, data)
        finally:
            temporary.unlink(missing_ok=True)

    def replace(self, name: str, data: bytes) -> None:
        target = self.root / name
        temporary = self._temporary(target)
        try:
            write_durably(temporary, data)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(path.name for path in (self.root / folder).iterdir() if not path.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self, folder: str) -> list[str]:
        return walk_files(self.root / folder)

    def get(self, name: str, to: Path) -> None:
        shutil.copyfile(self.root / name, to)

    def put(self, source: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def move(self, source: str, target: str) -> None:
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root / source).rename(self.root / target)

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def remove_tree(self, folder: str) -> None:
        remove_tree(self.root / folder)

    @staticmethod
    def _temporary(target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.parent / f".{target.name}.{secrets.token_hex(SUFFIX_BYTES)}"


class RemoteFiles:
    """Files on an fsspec filesystem (memory://, s3://, gs://, ...)."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs  # 0.1 s, so only for stores that need it

        self.url = url.rstrip("/")
        try:
            fs, root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            remedy = "install the fsspec package of that protocol (s3fs, gcsfs, adlfs, ...) or use a path"
            raise BadInput(f"store {shown(url)}", str(error), remedy) from None
        self._fs: Any = fs
        self._root = str(root).rstrip("/")

    def exists(self, name: str) -> bool:
        self._fs.invalidate_cache()
        return bool(self._fs.exists(self._at(name)))

    def read(self, name: str) -> bytes:
        return bytes(self._fs.cat_file(self._at(name)))

    def create(self, name: str, data: bytes) -> bool:
        # pipe_file(mode="create") is one conditional request; open(mode="xb") ignored the condition for small files
        # in s3fs before July 2025 (s3fs issue 973)
        try:
            self._fs.pipe_file(self._at(name), data, mode="create")
        except FileExistsError:
            return False
        return self.read(name) == data  # a server that ignores the condition lets the last writer win

    def replace(self, name: str, data: bytes) -> None:
        self._fs.pipe_file(self._at(name), data)

    def names(self, folder: str) -> list[str]:
        at = self._at(folder)
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(at, detail=False)
        except FileNotFoundError:
            return []
        # object stores may list a folder's own marker among what is in it
        paths = (str(path).strip("/") for path in found)
        names = {path.rpartition("/")[2] for path in paths if path != at.strip("/")}
        return sorted(name for name in names if not name.startswith("."))

    def walk(self, folder: str) -> list[str]:
        at = self._at(folder)
        self._fs.invalidate_cache()
        prefix = at.lstrip("/") + "/"
        return sorted(str(path).lstrip("/").removeprefix(prefix) for path in self._fs.find(at))

    def get(self, name: str, to: Path) -> None:
        self._fs.get_file(self._at(name), str(to))

    def put(self, source: Path, name: str) -> None:
        self._fs.put_file(str(source), self._at(name))

    def move(self, source: str, target: str) -> None:
        for file in self.walk(source):
            self._fs.mv(self._at(f"{source}/{file}"), self._at(f"{target}/{file}"))

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def remove_tree(self, folder: str) -> None:
        for file in self.walk(folder):
            self.remove(f"{folder}/{file}")
        with contextlib.suppress(Exception):  # object stores have no folders to remove
            self._fs.rm(self._at(folder), recursive=True)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def open_files(url: str | os.PathLike[str]) -> LocalFiles | RemoteFiles:
    """The files below a url: a plain path, file:// and local:// are this machine's disk, all else goes through fsspec.

    Raises BadInput for an empty url or a protocol that is unknown or not installed.
    """
    text = os.fspath(url)
    for prefix in ("file://", "local://"):
        text = text.removeprefix(prefix)
    if not text.strip():
        raise BadInput("store", "its url is empty", "give a folder or a url such as s3://bucket/folder")
    return RemoteFiles(text) if "://" in text else LocalFiles(Path(text).expanduser().absolute())


def shown(url: str) -> str:
    """A url as it may be printed: without the user and password some protocols carry in it."""
    return re.sub(r"//[^/@]*@", "//***@", url)


def checked_key(key: str) -> str:
    """A key fit to become a path: 64 lower-case hex digits. Raises BadInput for any other."""
    if not KEY.fullmatch(key):
        raise BadInput(f"key {key!r}", "is not 64 hex digits", "keys are printed by plan and report")
    return key


def checked_name(name: str, where: str) -> str:
    """A relative file name that stays inside its folder. Raises BadInput for any other.

    Receipts come from shared storage, and their file names become paths on this machine.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or path.as_posix() != name:
        raise BadInput(where, f"{name!r} does not name a file inside a result", "its receipt is damaged or foreign")
    return name


def _link_exclusively(temporary: Path, target: Path, data: bytes) -> bool:
    """Give a complete file its name unless the name is taken, so that no reader ever sees half of it."""
    try:
        os.link(temporary, target)
        return True
    except FileExistsError:
        # NFS may lose the answer and repeat the request: two names for our file mean that it was we who made the link
        return temporary.stat().st_nlink == 2
    except OSError:  # a filesystem without hard links
        try:
            write_durably(target, data)
            return True
        except FileExistsError:
            return False
        except OSError:
            target.unlink(missing_ok=True)  # ours, and torn
            raise
