"""The trial table as a typed, columnar file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s.search.table import Row, Table


def row(number: int, overrides: dict[str, Any], **changes: Any) -> Row:
    return Row(trial=f"{number:064x}", number=number, overrides=overrides, status="done", **changes)


ROWS = [
    row(
        0, {"method.alpha": 0.5, "weak.epochs": 2, "method.kind": "naive", "strong.bucket": True, "method.chain": ["weak", "strong"]},
        keys={"student": ("a", "b")}, metrics={"pgr": 0.5, "n": 3, "oracle": False}, seconds=2.0,
        reports=({"rung": 1, "step": 10, "objective": 0.5}, {"rung": 2, "step": 20, "objective": 1, "agreement": None}),
    ),
    row(1, {"method.alpha": 1, "method.kind": "x", "method.mixed": 1}, metrics={"pgr": None}),
    row(2, {"method.mixed": "word"}),
]  # fmt: skip


def test_columns_are_typed_and_flat(tmp_path: Path) -> None:
    with Table.open(tmp_path, writing=True) as table:
        for one in reversed(ROWS):
            table.append(one)
        table.export(tmp_path / "out" / "trials.parquet")
    found = pq.read_table(tmp_path / "out" / "trials.parquet")
    types = {name: found.schema.field(name).type for name in found.column_names}
    report = pa.struct(
        [("agreement", pa.int64()), ("objective", pa.float64()), ("rung", pa.int64()), ("step", pa.int64())]
    )
    assert types == {
        "trial": pa.string(), "number": pa.int64(), "status": pa.string(), "attempt": pa.int64(), "seconds": pa.float64(),
        "method.alpha": pa.float64(), "weak.epochs": pa.int64(), "method.kind": pa.string(), "strong.bucket": pa.bool_(),
        "method.chain": pa.string(), "method.mixed": pa.string(), "metrics.pgr": pa.float64(), "metrics.n": pa.int64(),
        "metrics.oracle": pa.bool_(), "keys.student": pa.list_(pa.string()), "reports": pa.list_(report),
    }  # fmt: skip
    assert found["number"].to_pylist() == [0, 1, 2]
    assert found["method.alpha"].to_pylist() == [0.5, 1.0, None]
    assert found["method.chain"].to_pylist() == ['["weak", "strong"]', None, None]
    assert found["method.mixed"].to_pylist() == [None, "1", '"word"']
    assert found["reports"].to_pylist()[0][1] == {"agreement": None, "objective": 1.0, "rung": 2, "step": 20}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["trials.parquet"]


def test_an_empty_table_is_exported_too(tmp_path: Path) -> None:
    Table.open(tmp_path).export(tmp_path / "trials.parquet")
    assert pq.read_table(tmp_path / "trials.parquet").num_rows == 0
