"""The GradeAnswers stage: written answers held against the true ones, and against the supervisor's where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.errors import StageFailed
from cluster.job import Context
from w2s.answers import AnswerTable
from w2s.metrics import grade_texts, matches
from w2s.work import graded
from w2s.work.table import RowTable, read_part


def run(context: Context) -> dict[str, Any]:
    """Score every answer by exact match; write `graded.parquet` as Grade does. Returns the metrics."""
    science, rows = context.science, read_part(context, context.science["rows"])
    if rows.answers is None:
        raise StageFailed(context.name, "its rows have no answers", "run `w2s verify`")
    texts = _texts(context, science["labels"], rows)
    supervisor = None if science["supervisor"] is None else _texts(context, science["supervisor"], rows)
    graded.write(context.out, rows.ids, matches(texts, rows.answers))
    return dict(grade_texts(texts, rows.answers, supervisor))


def _texts(context: Context, labels: Mapping[str, str], rows: RowTable) -> tuple[str, ...]:
    return AnswerTable.load(context.inputs[labels["key"]]).join(rows.ids, context.name).texts
