"""The function of the Cnn stage: simulate one point, leave its curve."""

from __future__ import annotations

import json
from typing import Any

from cluster.errors import Interrupted
from cluster.job import Context
from w2s.bench_theory.cnn.config import Point
from w2s.bench_theory.cnn.curve import FILE
from w2s.bench_theory.cnn.simulate import simulate


def run(context: Context) -> dict[str, Any]:
    """Write curve.json ({"weak": scores, "records": a list of measures by step}); the metrics are those of the end."""
    point = Point.model_validate(context.science["point"])

    def heard(step: int) -> None:
        if context.stop():
            raise Interrupted(
                context.name, f"stopped at step {step}", "the same command simulates it from its beginning"
            )
        context.watch.progress(step, point.steps)

    found = simulate(point, int(context.science["seed"]), heard)
    text = json.dumps({"weak": found.weak, "records": found.records}, allow_nan=False)
    (context.out / FILE).write_text(text, encoding="utf-8")
    last = found.records[-1]
    return {
        "weak": found.weak["test"], "test": last["test"], "test_hard": last["test_hard"],
        "train_labels": last["train_labels"], "ratio": point.ratio,
    }  # fmt: skip
