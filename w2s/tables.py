"""Rows out of local files: JSON lines, CSV, Parquet and Arrow, with errors that name file, row and column."""

from __future__ import annotations

import csv
import difflib
import gzip
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from cluster.errors import BadInput

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet", ".arrow")


@dataclass(frozen=True)
class Row:
    """One raw row: its values by column, and where it stands (1-based) for error texts."""

    source: str
    number: int
    values: Mapping[str, Any]

    @property
    def where(self) -> str:
        return f"{self.source}: row {self.number}"

    def value(self, column: str) -> Any:
        """What the column holds. Raises BadInput when the column is not there or the value is null."""
        if column not in self.values:
            raise BadInput(self.where, no_column(column, list(self.values)), "correct the column name")
        if self.values[column] is None:
            raise BadInput(self.where, f"column '{column}' is null", "fill it in or leave the row out")
        return self.values[column]

    def text(self, column: str) -> str:
        """The column as text. Raises BadInput unless it is a string, a number or a boolean."""
        value = self.value(column)
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        if not isinstance(value, str):
            raise BadInput(
                self.where, f"column '{column}' holds {type(value).__name__}, not text", "name a text column"
            )
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        """The column as a list of texts. Raises BadInput unless it is one."""
        value = self.value(column)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            what = f"column '{column}' holds {type(value).__name__}, not a list of texts"
            raise BadInput(self.where, what, "use jsonl or parquet: a csv cell holds no list")
        return tuple(value)

    def inner(self, column: str) -> Row:
        """The column's own columns, as a row. Raises BadInput unless it is a mapping."""
        value = self.value(column)
        if not isinstance(value, Mapping):
            what = f"column '{column}' holds {type(value).__name__}, not columns of its own"
            raise BadInput(self.where, what, "use jsonl or parquet: a csv cell holds no columns")
        return Row(self.source, self.number, value)

    def integer(self, column: str) -> int:
        """The column as a whole number; true is 1, "3" is 3. Raises BadInput for anything else."""
        value = self.value(column)
        if isinstance(value, str):
            word = value.strip().lower()
            value = {"true": True, "false": False}.get(word, value)
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or (isinstance(value, float) and value != number):
            raise BadInput(self.where, f"column '{column}' holds {value!r}, not a whole number", "")
        return number


def read(path: Path) -> Iterator[Row]:
    """The rows of one file, in file order. The format is told by the suffix.

    Raises BadInput: missing file, unknown suffix, unreadable file or line.
    """
    kind = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if not path.is_file():
        raise BadInput(str(path), "no such file", "check the path (it is taken from where you run w2s)")
    if kind is None:
        raise BadInput(str(path), f"unknown kind of file '{path.suffix}'", f"use one of {', '.join(SUFFIXES)}")
    try:
        if kind in (".parquet", ".arrow"):
            yield from _columnar(path, kind)
        else:
            opener = gzip.open if kind.endswith(".gz") else open
            with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
                yield from _csv(path, lines) if ".csv" in kind else _json_lines(path, lines)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(str(path), f"cannot be read: {error}", "check that the file is whole and in UTF-8") from error


def no_column(column: str, known: list[str]) -> str:
    """`no column 'txet'; did you mean 'text'? There are: label, text`"""
    close = difflib.get_close_matches(column, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"no column '{column}'{hint} There are: {', '.join(known) or 'none'}"


def _json_lines(path: Path, lines: TextIO) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: row {number}", f"not JSON: {error}", "one JSON object a line") from error
        if not isinstance(values, dict):
            raise BadInput(
                f"{path}: row {number}", f"a {type(values).__name__}, not an object", "one JSON object a line"
            )
        yield Row(str(path), number, values)


def _csv(path: Path, lines: TextIO) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # a passage may be longer than the 128 KiB the module allows by default
    reader = csv.DictReader(lines, strict=True)
    for number, values in enumerate(reader, 2):  # row 1 is the header
        if None in values or None in values.values():
            cells = len(reader.fieldnames or ())
            found = "more" if None in values else "fewer"
            raise BadInput(
                f"{path}: row {number}", f"{found} cells than the header's {cells}", "quote cells with commas"
            )
        yield Row(str(path), number, values)


def _columnar(path: Path, kind: str) -> Iterator[Row]:
    import pyarrow as pa

    try:
        number = 0
        for batch in _parquet_batches(path) if kind == ".parquet" else _arrow_batches(path):
            for values in batch.to_pylist():
                number += 1
                yield Row(str(path), number, values)
    except pa.ArrowException as error:
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise BadInput(str(path), f"cannot be read: {reason}", f"check that it is a whole {kind} file") from error


def _parquet_batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=4096)


def _arrow_batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            yield from pa.ipc.open_stream(source)  # what `datasets` saves
        except pa.ArrowInvalid:
            source.seek(0)
            file = pa.ipc.open_file(source)
            yield from (file.get_batch(i) for i in range(file.num_record_batches))
