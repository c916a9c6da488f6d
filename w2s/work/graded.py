"""Which rows a graded labeller got right: written by Grade, read by reports for paired intervals."""

# N rows

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.errors import StageFailed

FILE = "graded.parquet"
Flags = NDArray[np.bool_]


def write(folder: Path, ids: Sequence[str], correct_N: Flags) -> None:
    """Write `graded.parquet`: id, correct."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": list(ids), "correct": correct_N.tolist()}), folder / FILE)


def read(folder: Path) -> tuple[tuple[str, ...], Flags]:
    """Ids [N] and whether each was right [N]. Raises StageFailed where the file is gone or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / FILE)
        ids, correct = table["id"].to_pylist(), table["correct"].to_pylist()
    except FileNotFoundError:
        raise _damaged(folder, "is missing") from None
    except (pa.ArrowException, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise _damaged(folder, f"cannot be read ({type(error).__name__})") from None
    if len(set(ids)) != len(ids) or not all(type(value) is bool for value in correct):  # a null would pass for wrong
        raise _damaged(folder, "needs one id and one true or false a row")
    return tuple(ids), np.array(correct, dtype=np.bool_)


def _damaged(folder: Path, what: str) -> StageFailed:
    remedy = "`w2s verify --quarantine` moves it aside, and the next run makes it again"
    return StageFailed(f"grade {folder.name[:12]}", f"{FILE} {what}", remedy)
