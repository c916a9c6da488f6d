"""Stages that do nothing: what is left of a search when its students cost no time. The results look like those of real ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from cluster.job import Context
from cluster.pool import InlinePool
from cluster.worker import Assignment

MARKS = {"agreement": 0.9, "accuracy": 0.8, "loss": 0.5, "confidence": 0.9, "misfit": 0.1}


def work(context: Context) -> dict[str, Any]:
    """Any stage: one evaluation, and its numbers as metrics."""
    for name, value in MARKS.items():
        context.watch.scalar(f"eval/{name}", value, 1)
    (context.out / "curve.json").write_text(json.dumps([{"step": 1, **MARKS}]))
    return {**MARKS, **{f"val_{name}": value for name, value in MARKS.items()}}


class NoopPool(InlinePool):
    """This process, where every job does nothing."""

    def start(self, assignments: Sequence[Assignment]) -> None:
        super().start(
            [(dataclasses.replace(job, target="bench.noop:work", pack=""), lease) for job, lease in assignments]
        )
