"""Data sets of the Hugging Face hub: fetched by id, read from its caches with the network off, or from a local copy.

All three hold the same rows in the same columns. A local copy is a file or a folder (a clone of the hub's repository, or
files named after their splits). `fetch` fills the caches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from cluster.errors import BadEnvironment, BadInput
from w2s import tables
from w2s.config import LocalPath
from w2s.task import Split, TaskConfig

CONVERTED = "refs/convert/parquet"
"""The hub's own Parquet copy of a repository. For data sets whose main branch is a script, which `datasets` no longer runs."""

# other names a file of the split may carry
ALIASES = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev")}


@dataclass(frozen=True)
class Place:
    """Where a data set lies on the hub, and what its splits are called there.

    `subset` is a named configuration; `folder` a part of the repository to read instead, for branches that name none: its
    files are taken as they are, for `datasets` does not find what it loaded by folder again once the network is off.
    """

    id: str
    revision: str = "main"
    train: str = "train"
    test: str = "test"
    subset: str | None = None
    folder: str | None = None

    def name(self, split: Split) -> str:
        """The hub's name of a split."""
        return self.test if split == "test" else self.train


class HubTaskConfig(TaskConfig):
    """A task whose rows are on the hub. `path` (a file or a folder of files) is read instead of the hub when given."""

    TRAIN_SPLIT: ClassVar[str] = "train"
    """The hub's name of the split that serves as train."""

    TEST_SPLIT: ClassVar[str] = "test"
    """The hub's name of the split that serves as test."""

    SUBSET: ClassVar[str | None] = None
    """The named configuration to load, where the data set has several."""

    FOLDER: ClassVar[str | None] = None
    """The folder of the repository to load, where a branch names no configurations."""

    COLUMNS: ClassVar[tuple[str, ...]] = ()

    # published data hold a few repeats and contradictions; leaving them out, counted, beats stopping a first run
    drop_overlap: bool = Field(True, description="leave out training rows that are in the test split (else refused)")
    drop_conflicts: bool = Field(True, description="leave out rows that occur with two different labels (else refused)")
    hub_id: str
    revision: str = Field("main", description="branch, tag or commit")
    path: LocalPath | None = Field(None, description="a local copy: jsonl, csv or parquet; split told by file names")
    test_path: LocalPath | None = Field(None, description="the test split's file or folder, where names do not tell")

    @property
    def fetched(self) -> tuple[Split, ...]:
        """The splits that are there to be fetched."""
        return ("train", "test")

    @property
    def place(self) -> Place:
        """Where these choices lie on the hub."""
        return Place(self.hub_id, self.revision, self.TRAIN_SPLIT, self.TEST_SPLIT, self.SUBSET, self.FOLDER)


def rows(config: HubTaskConfig, split: Split) -> Iterator[tables.Row]:
    """The raw rows of a split, from the local copy or the hub.

    Raises BadInput (missing file or column) and BadEnvironment (hub not reachable, no such data set, another commit in
    the cache than the one asked for).
    """
    for row in _rows(config, split):
        missing = [column for column in config.COLUMNS if column not in row.values]
        if missing:
            raise BadInput(row.where, tables.no_column(missing[0], list(row.values)), f"{config.kind} needs it")
        yield row


def fetch(config: HubTaskConfig) -> str:
    """Bring the data into the hub library's caches and say where they are; a local copy is only looked up.

    Raises BadInput and BadEnvironment as `rows` does.
    """
    found: list[Path] = []
    for split in config.fetched:
        files = _plain_files(config, split)
        if files is None:
            files = [Path(file["filename"]) for file in _table(config, split).cache_files]
        found += files
    return ", ".join(dict.fromkeys(str(file.parent) for file in found))


def _rows(config: HubTaskConfig, split: Split) -> Iterator[tables.Row]:
    files = _plain_files(config, split)
    if files is None:
        for number, values in enumerate(_table(config, split), 1):
            yield tables.Row(_source(config.place, split), number, values)
        return
    for file in files:
        yield from tables.read(file)


def _plain_files(config: HubTaskConfig, split: Split) -> Sequence[Path] | None:
    """The files of a split, of a local copy or of a folder of the hub; None where `datasets` reads it."""
    if config.path is not None:
        return _local_files(config, split)
    return _folder_files(config, split) if config.place.folder is not None else None


def _local_files(config: HubTaskConfig, split: Split) -> Sequence[Path]:
    assert config.path is not None
    if split == "test" and config.test_path is not None:
        return _files(Path(config.test_path), None)
    place = config.place
    part = Path(config.path) / (place.folder or place.subset or "")  # the whole repository may have been cloned
    return _files(part if part.is_dir() else Path(config.path), place.name(split), alone=split == "train")


def _files(place: Path, name: str | None, alone: bool = False) -> Sequence[Path]:
    """The files of one split below `place`: all of them without a `name`; a single file is train's if `alone`."""
    if place.is_file() or not place.exists():
        if name is not None and not alone:
            raise BadInput(str(place), f"one file cannot hold the {name} split too", "set test_path, or give a folder")
        return [place]
    files = [
        file
        for file in sorted(place.rglob("*"))
        if file.name.lower().endswith(tables.SUFFIXES) and not _hidden(file, place)
    ]
    chosen = [file for file in files if name is None or _named(file.relative_to(place).as_posix(), name)]
    if not chosen:
        there = ", ".join(file.relative_to(place).as_posix() for file in files[:5]) or "no data files"
        wanted = "a data file" if name is None else f"a file with '{name}' in its name"
        raise BadInput(str(place), f"nothing for this split; found {there}", f"put {wanted} there, or set test_path")
    return chosen


def _hidden(file: Path, root: Path) -> bool:
    # hidden files are not in the folder's digest, so they must not be read either
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _named(path: str, name: str) -> bool:
    """Whether a path says a split's name as a word of its own: train2.csv is of `train`, train_r1.csv not of `train_r2`."""
    aliases = ALIASES.get(name, (name,))
    letters = "a-z0-9" if any(char.isdigit() for char in name) else "a-z"
    words = "_".join(piece for piece in re.split(f"[^{letters}]+", path.lower()) if piece)
    return any(f"_{alias}_" in f"_{words}_" for alias in aliases)


def _folder_files(config: HubTaskConfig, split: Split) -> Sequence[Path]:
    import huggingface_hub

    place = config.place
    try:
        root = huggingface_hub.snapshot_download(
            place.id, repo_type="dataset", revision=place.revision, allow_patterns=f"{place.folder}/*"
        )
        # the cache may hold this revision and another folder of it
        return _files(Path(root) / str(place.folder), place.name(split))
    except Exception as error:  # as many types, and BadInput for a folder that is not in the cache
        raise _unreachable(config, split, error) from error


def _source(place: Place, split: Split) -> str:
    part = place.subset or place.folder
    return f"{place.id}{f'/{part}' if part else ''}@{place.revision}, {place.name(split)}"


def _table(config: HubTaskConfig, split: Split) -> Any:
    import datasets

    place = config.place
    try:
        table = datasets.load_dataset(place.id, place.subset, revision=place.revision, split=place.name(split))
    except Exception as error:  # the loader raises a dozen unrelated types for "not reachable" and "not there"
        raise _unreachable(config, split, error) from error
    _refuse_other_commit(config, split, table)
    return table


def _unreachable(config: HubTaskConfig, split: Split, error: Exception) -> BadEnvironment:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return BadEnvironment(
        _where(config, split),
        f"could not be loaded: {reason}",
        "set task.path to a local copy (jsonl, csv or parquet), or fetch it first on a machine with the network",
    )


def _where(config: HubTaskConfig, split: Split) -> str:
    return f"task {config.kind}: hub data set {_source(config.place, split)}"


def _refuse_other_commit(config: HubTaskConfig, split: Split, table: Any) -> None:
    """With the network off, `datasets` takes whatever it cached last, whichever revision was asked for."""
    asked = config.place.revision
    found = {Path(file["filename"]).parent.name for file in table.cache_files}
    if re.fullmatch(r"[0-9a-f]{40}", asked) and found - {asked}:
        raise BadEnvironment(
            _where(config, split),
            f"the cache holds {', '.join(sorted(found))}",
            "fetch this revision on a machine with the network, or name the one that is there",
        )
