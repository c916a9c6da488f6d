"""Columns of numbers that came with a task's rows (vectors, labels made elsewhere): beside the rows table, in its order."""

# N rows of a table

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

FILE = "arrays.safetensors"
Column = NDArray[Any]


def write(folder: Path, ids: Sequence[str], columns: Mapping[str, Mapping[str, Column]]) -> None:
    """Write `arrays.safetensors`: of each column, the rows of the table. `columns` hold one array by row id."""
    found = {name: np.stack([by_id[row_id] for row_id in ids]) for name, by_id in columns.items()}
    save_file({name: np.ascontiguousarray(values) for name, values in found.items()}, folder / FILE)


def read(folder: Path) -> dict[str, Column]:
    """The columns by name; none where the task has none."""
    file = folder / FILE
    return dict(load_file(file)) if file.is_file() else {}
