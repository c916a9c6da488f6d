"""The trial table as columns: one row a trial, every searched field and every metric a typed column of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cluster.disk import told


class Listed(Protocol):
    """What is read of a row of the trial table."""

    @property
    def trial(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def overrides(self) -> Mapping[str, Any]: ...
    @property
    def keys(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def reports(self) -> Sequence[Mapping[str, float | int | None]]: ...
    @property
    def metrics(self) -> Mapping[str, Any]: ...


def arrow_table(rows: Sequence[Listed]) -> Any:
    """A pyarrow.Table: trial, number, status, attempt, seconds; searched fields by path (`method.alpha`); `metrics.NAME`;
    `keys.ROLE`, lists of stage keys; `reports`, a list of structs.

    A column of whole numbers is int64, of numbers float64, of truths bool, of words string; of anything else, or of several,
    JSON text. What a trial does not have is null.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {
        "trial": pa.array([row.trial for row in rows], pa.string()),
        "number": pa.array([row.number for row in rows], pa.int64()),
        "status": pa.array([row.status for row in rows], pa.string()),
        "attempt": pa.array([row.attempt for row in rows], pa.int64()),
        "seconds": pa.array([row.seconds for row in rows], pa.float64()),
    }
    for path in _names(row.overrides for row in rows):
        columns[path] = _typed([row.overrides.get(path) for row in rows])
    for name in _names(row.metrics for row in rows):
        columns[f"metrics.{name}"] = _typed([row.metrics.get(name) for row in rows])
    for role in _names(row.keys for row in rows):
        columns[f"keys.{role}"] = pa.array([row.keys.get(role) for row in rows], pa.list_(pa.string()))
    fields = _names(report for row in rows for report in row.reports)
    whole = [name for name in fields if all(_is_whole(report.get(name)) for row in rows for report in row.reports)]
    struct = pa.struct([(name, pa.int64() if name in whole else pa.float64()) for name in fields])
    if fields:
        columns["reports"] = pa.array([[dict(report) for report in row.reports] for row in rows], pa.list_(struct))
    return pa.table(columns)


def write_parquet(rows: Sequence[Listed], file: Path) -> None:
    """Write the columns as a parquet file, whole or not at all. Raises BadEnvironment."""
    import pyarrow.parquet as pq

    part = file.with_name(f".{file.name}.{os.getpid()}")
    with told("trial table", file):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(arrow_table(rows), part)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every name there is, sorted: the file is the same in whatever order trials ended."""
    return sorted({name for mapping in mappings for name in mapping})


def _is_whole(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _typed(values: list[Any]) -> Any:
    import pyarrow as pa

    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return pa.array(values, pa.bool_())
    if there and all(_is_whole(value) for value in there):
        return pa.array(values, pa.int64())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        return pa.array(values, pa.float64())
    if all(isinstance(value, str) for value in there):
        return pa.array(values, pa.string())
    return pa.array([None if value is None else json.dumps(value, sort_keys=True) for value in values], pa.string())
