"""The Given stage: class probabilities that came with a task's rows, as a labels table like any other."""

# N rows, C classes

from __future__ import annotations

from typing import Any

import numpy as np

from cluster.errors import BadInput
from cluster.job import Context
from w2s.labels import Floats, LabelTable
from w2s.work import arrays, table

TINY = 1e-12  # keeps the log of a sure label finite
SUMS_TO_ONE = 1e-3  # float16 probabilities of a thousand classes add up to no better


def run(context: Context) -> dict[str, Any]:
    """Write `labels.parquet` for the part's rows. Raises BadInput for a column that is missing or holds no probabilities."""
    name, folder = context.science["column"], context.inputs[context.science["rows"]["rows"]["key"]]
    whole, columns = table.read_all(folder), arrays.read(folder)
    places = whole.places(context.science["rows"], context.name)
    rows = whole.take(places)
    if name not in columns:
        there = ", ".join(columns) or "none"
        raise BadInput(f"given:{name}", "the task's rows have no such column", f"there are: {there}")
    probs_NC = probabilities(columns[name][places], rows.n_classes, f"given:{name}")
    LabelTable(rows.ids, probs_NC, np.log(np.clip(probs_NC, TINY, None))).save(context.out)
    return {"n": len(rows), "mean_confidence": float(probs_NC.max(axis=-1).mean())}


def probabilities(values: Floats, n_classes: int, where: str) -> Floats:
    """[N, C] from [N, C] probabilities, [N] probabilities of class 1, or [N] classes. Raises BadInput for anything else."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 1 and n_classes > 2:
        if not np.isin(values, np.arange(n_classes)).all():
            raise BadInput(where, f"one number a row, and not all are classes 0 to {n_classes - 1}", "give [N, C]")
        return np.eye(n_classes)[values.astype(np.int64)]
    if values.ndim == 1:
        values = np.stack([1 - values, values], axis=-1)
    if values.ndim != 2 or values.shape[1] != n_classes:
        raise BadInput(where, f"has shape {values.shape}", f"give [N, {n_classes}] probabilities")
    sums_N = values.sum(axis=-1)
    if not np.isfinite(values).all() or values.min() < 0 or abs(sums_N - 1).max() > SUMS_TO_ONE:
        raise BadInput(where, "holds rows that are no probabilities", "each row adds up to 1, none below 0")
    found: Floats = values / sums_N[:, None]
    return found
