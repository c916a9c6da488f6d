"""The functions of the misfit stages: each leaves its tasks' outcomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.errors import Interrupted
from cluster.job import Context
from w2s.bench_theory.misfit import entropy as by_entropy
from w2s.bench_theory.misfit import squared as by_squares
from w2s.bench_theory.misfit.config import Entropy, Regression, Squared
from w2s.bench_theory.misfit.outcomes import FILE, Outcome, to_json


def squared(context: Context) -> dict[str, Any]:
    """Projections, under squared loss."""
    settings = Squared.model_validate(context.science["settings"])
    return _leave(context, by_squares.outcomes(settings, int(context.science["seed"])))


def entropy(context: Context) -> dict[str, Any]:
    """Students by reverse and forward KL."""
    settings = Entropy.model_validate(context.science["settings"])
    return _leave(context, by_entropy.outcomes(settings, int(context.science["seed"])))


def regression(context: Context) -> dict[str, Any]:
    """The synthetic regression."""
    from w2s.bench_theory.misfit.representations import outcomes

    settings, setting = Regression.model_validate(context.science["settings"]), context.science["setting"]

    def heard(done: int, total: int) -> None:
        if context.stop():
            raise Interrupted(
                context.name, f"stopped at step {done}", "the same command simulates it from its beginning"
            )
        context.watch.progress(done, total)

    return _leave(context, {setting: outcomes(settings, setting, int(context.science["seed"]), heard)})


def _leave(context: Context, families: dict[str, list[Outcome]]) -> dict[str, Any]:
    """Write tasks.json (by family, a list of outcomes); the metrics are mean gains and misfits."""
    text = json.dumps(to_json(dict[str, Sequence[Outcome]](families)), allow_nan=False)
    (context.out / FILE).write_text(text, encoding="utf-8")
    return {
        f"{what} {name}": float(np.mean([getattr(outcome, what) for outcome in found]))
        for name, found in families.items()
        for what in ("gain", "misfit")
    }
