"""A made-up experiment with many methods, for the tests of rankings: known skills, controls, an oracle, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.store import Store
from tests.w2s.report.page.made_up import fill, wanted
from w2s.report.wanted import Wanted
from w2s.stages import Model, Stage

METHODS: dict[str, Any] = {
    "method": {"kind": "confidence"},
    "baselines": [
        {"kind": "naive"},
        {"kind": "finetune", "loss": {"kind": "window"}},
        {"kind": "finetune", "loss": {"kind": "brier"}},
        {"kind": "self_distill"},
        {"kind": "early_stop", "select": "oracle", "every": 3},
    ],
}
SKILLS = {"confidence": 0.90, "xent": 0.76, "window": 0.60, "brier": 0.78}
CONFIDENCE, NAIVE = "confidence", "naive"
WINDOW, BRIER = "finetune loss=window", "finetune loss=brier"
CONTROL, ORACLE = "self_distill", "early_stop every=3 select=oracle (oracle)"
CHANGES: dict[str, Any] = {"seeds": [0, 1, 2], "task": {"kind": "toy", "size": 300, "n_test": 200}, **METHODS}


def skill(model: Model) -> float:
    """By the loss of the student; oracles and strong models on the truth are better than all."""
    if model.rows.name == "weak":
        return 0.68
    return 0.97 if model.labels is None or model.learner.select == "oracle" else SKILLS[model.loss.kind]


def ranked(folder: Path, store: Store, leave: Callable[[Stage], bool] = lambda stage: False, **changes: Any) -> Wanted:
    """The recipe as a file, and its results in the store."""
    asked = wanted(folder, "ranked.yaml", **{**CHANGES, **changes})
    fill(store, asked, skill, leave)
    return asked
