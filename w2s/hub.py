"""Data sets of the Hugging Face hub: fetched by id, or read from a local copy with the same column names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from cluster.errors import BadEnvironment, BadInput
from w2s import tables
from w2s.config import LocalPath
from w2s.task import Split, TaskConfig

# other names a file of the split may carry
ALIASES = {"train": {"train", "training"}, "test": {"test"}, "validation": {"validation", "valid", "val", "dev"}}


class HubTaskConfig(TaskConfig):
    """A task whose rows are on the hub. `path` (a file or a folder of files) is read instead of the hub when given."""

    TEST_SPLIT: ClassVar[str] = "test"
    """The hub's name of the split that serves as test."""

    COLUMNS: ClassVar[tuple[str, ...]] = ()

    # published data hold a few repeats and contradictions; leaving them out, counted, beats stopping a first run
    drop_overlap: bool = Field(True, description="leave out training rows that are in the test split (else refused)")
    drop_conflicts: bool = Field(True, description="leave out rows that occur with two different labels (else refused)")
    hub_id: str
    revision: str = Field("main", description="branch, tag or commit")
    path: LocalPath | None = Field(None, description="a local copy: jsonl, csv or parquet; split told by file names")
    test_path: LocalPath | None = Field(None, description="the test split's file or folder, where names do not tell")


def rows(config: HubTaskConfig, split: Split) -> Iterator[tables.Row]:
    """The raw rows of a split, from the local copy or the hub.

    Raises BadInput (missing file or column) and BadEnvironment (hub not reachable, no such data set).
    """
    found = _local(config, split) if config.path is not None else _from_hub(config, split)
    for row in found:
        missing = [column for column in config.COLUMNS if column not in row.values]
        if missing:
            raise BadInput(row.where, tables.no_column(missing[0], list(row.values)), f"{config.kind} needs it")
        yield row


def _local(config: HubTaskConfig, split: Split) -> Iterator[tables.Row]:
    name = config.TEST_SPLIT if split == "test" else "train"
    assert config.path is not None
    if split == "test" and config.test_path is not None:
        files = _files(Path(config.test_path), None)
    else:
        files = _files(Path(config.path), name, alone=split == "train")
    for file in files:
        yield from tables.read(file)


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
    chosen = [file for file in files if name is None or _pieces(file, place) & ALIASES[name]]
    if not chosen:
        there = ", ".join(file.relative_to(place).as_posix() for file in files[:5]) or "no data files"
        wanted = "a data file" if name is None else f"a file with '{name}' in its name"
        raise BadInput(str(place), f"nothing for this split; found {there}", f"put {wanted} there, or set test_path")
    return chosen


def _hidden(file: Path, root: Path) -> bool:
    # hidden files are not in the folder's digest, so they must not be read either
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _pieces(file: Path, root: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", file.relative_to(root).as_posix().lower()))


def _from_hub(config: HubTaskConfig, split: Split) -> Iterator[tables.Row]:
    import datasets

    name = config.TEST_SPLIT if split == "test" else "train"
    source = f"{config.hub_id}@{config.revision}, {name}"
    try:
        table = datasets.load_dataset(config.hub_id, revision=config.revision, split=name)
    except Exception as error:  # the loader raises a dozen unrelated types for "not reachable" and "not there"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadEnvironment(
            f"task {config.kind}: hub data set {source}",
            f"could not be loaded: {reason}",
            "set task.path to a local copy (jsonl, csv or parquet), or fetch it first on a machine with the network",
        ) from error
    for number, values in enumerate(table, 1):
        yield tables.Row(source, number, values)
