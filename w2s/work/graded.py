"""Which rows a graded labeller got right: written by Grade, read by reports for paired intervals."""

# N rows

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = "graded.parquet"
Flags = NDArray[np.bool_]


def write(folder: Path, ids: Sequence[str], correct_N: Flags) -> None:
    """Write `graded.parquet`: id, correct."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": list(ids), "correct": correct_N.tolist()}), folder / FILE)


def read(folder: Path) -> tuple[tuple[str, ...], Flags]:
    """Ids and whether each was right."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE)
    return tuple(table["id"].to_pylist()), np.array(table["correct"].to_pylist(), dtype=np.bool_)
