"""The Grade stage: labels held against ground truth, and against the supervisor's where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster.job import Context
from w2s.labels import LabelTable
from w2s.metrics import grade
from w2s.work import graded
from w2s.work.table import read_part


def run(context: Context) -> dict[str, Any]:
    """Score the labels on every row; write `graded.parquet` (id, correct) for paired intervals. Returns the metrics."""
    rows = read_part(context, context.science["rows"])
    labels = LabelTable.load(context.inputs[context.science["labels"]["key"]]).join(rows.ids, context.name)
    truth_N = np.array(rows.labels, dtype=np.int64)
    supervisor = context.science["supervisor"]
    supervisor_NC = None
    if supervisor is not None:
        supervisor_NC = LabelTable.load(context.inputs[supervisor["key"]]).join(rows.ids, context.name).probs_NC
    correct_N = labels.probs_NC.argmax(axis=-1) == truth_N
    graded.write(context.out, rows.ids, correct_N)
    return dict(grade(labels.probs_NC, truth_N, supervisor_NC))
