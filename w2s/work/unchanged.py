"""Local files are keyed by their content when a run is planned; this asks whether they are still the same when it is done."""

from __future__ import annotations

from cluster.errors import BadInput
from cluster.job import Context
from w2s.learner import ModelRef
from w2s.stages import Rows
from w2s.task import TaskConfig


def check_rows(context: Context, task: TaskConfig) -> None:
    """Raise BadInput if the task's files no longer give this stage's key. Call it before reading and after."""
    if Rows(task).key != context.key:
        raise _changed(context)


def check_model(context: Context, model: ModelRef) -> None:
    """Raise BadInput if a local model is no longer what was planned with. Nothing to do for pinned forms."""
    planned = context.machines.get("model")
    if planned is not None and model.identity() != planned:
        raise _changed(context)


def _changed(context: Context) -> BadInput:
    remedy = "run the same command again: it plans with the files as they are now"
    return BadInput(context.name, "a local file it reads has changed since the run was planned", remedy)
