"""The Grade stage: labels held against ground truth, and against the supervisor's where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.job import Context
from w2s.labels import LabelTable
from w2s.metrics import grade
from w2s.work import graded
from w2s.work.table import Whole, read_all


def run(context: Context) -> dict[str, Any]:
    """Score the labels on every row; write `graded.parquet` (id, correct) for paired intervals. Returns the metrics."""
    return run_pack([context])[0]


def run_pack(contexts: Sequence[Context]) -> list[dict[str, Any]]:
    """The same for several graded on one table, which is read once."""
    whole = read_all(contexts[0].inputs[contexts[0].science["rows"]["rows"]["key"]])
    return [_grade(context, whole) for context in contexts]


def _grade(context: Context, whole: Whole) -> dict[str, Any]:
    rows = whole.take(whole.places(context.science["rows"], context.name))
    labels = LabelTable.load(context.inputs[context.science["labels"]["key"]]).join(rows.ids, context.name)
    truth_N = np.array(rows.labels, dtype=np.int64)
    supervisor = context.science["supervisor"]
    supervisor_NC = None
    if supervisor is not None:
        supervisor_NC = LabelTable.load(context.inputs[supervisor["key"]]).join(rows.ids, context.name).probs_NC
    correct_N = labels.probs_NC.argmax(axis=-1) == truth_N
    graded.write(context.out, rows.ids, correct_N)
    return dict(grade(labels.probs_NC, truth_N, supervisor_NC))
