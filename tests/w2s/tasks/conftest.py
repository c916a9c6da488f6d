"""Local copies of hub data sets, written in the original column names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Rows = list[dict[str, Any]]
Copy = Callable[..., str]


@pytest.fixture(params=["jsonl", "jsonl.gz", "parquet"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Copy:
    """`copy(train=rows, validation=rows)` writes a file a split, named as on the hub, and returns the folder."""

    def write(**splits: Rows) -> str:
        for split, rows in splits.items():
            file = tmp_path / "data" / f"{split}-00000-of-00001.{request.param}"
            file.parent.mkdir(exist_ok=True)
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            if request.param == "parquet":
                pq.write_table(pa.Table.from_pylist(rows), file)
            else:
                file.write_bytes(gzip.compress(lines.encode()) if file.suffix == ".gz" else lines.encode())
        return str(tmp_path / "data")

    return write
