"""Each method over its seeds, as curves whose step is the seed, and the layout that draws the three sides together."""

from __future__ import annotations

import re
from typing import Any

from cluster import event_values
from w2s.board.scores import ORACLE, Line, Told
from w2s.metrics import Interval

SIDES = ("floor", "transfer", "ceiling", "agreement", "pgr")


def over_seeds(line: Line, told: Told) -> list[tuple[int, Any]]:
    """A point a seed: test accuracy of the three sides, agreement, and PGR where there is a gap to recover."""
    found: list[tuple[int, Any]] = []
    for seed in sorted(line.seeds):
        for name, score in line.scores(seed).items():
            words = f"{line.row.method}: {name} by seed (the step); {told.report.n_test} test rows each"
            mean = getattr(line.row, name, None)
            if isinstance(mean, Interval):
                words += f"; mean over {len(line.row.seeds)} seeds {_shown(mean, told.report.level)}"
            found.append((seed, event_values.scalar(line.tag(f"by_seed/{name}"), score, words)))
    return found


def _shown(mean: Interval, level: float) -> str:
    ends = ", ".join("unbounded" if end is None else f"{end:.3f}" for end in (mean.low, mean.high))
    return f"{mean.mean:.3f}, {level:.0%} interval {ends}"


def layout(told: Told) -> Any:
    """Charts of several curves: the three sides and PGR by seed, what ground truth helped apart, then how models learned."""
    marks = list(dict.fromkeys(line.tag("by_seed") for line in told.lines))
    by_seed: dict[str, list[str]] = {}
    calibration: dict[str, list[str]] = {}
    for mark in marks:
        helped = f" ({ORACLE})" if mark.startswith(ORACLE) else ""
        own = mark.removesuffix("by_seed")
        title = f"accuracy by confidence in percent (the step){helped}"
        calibration[title] = _exactly(*(f"{own}calibration/{side}" for side in SIDES[:3]))
        by_seed[f"floor, transfer, ceiling by seed{helped}"] = _exactly(*(f"{mark}/{side}" for side in SIDES[:3]))
        by_seed[f"PGR by seed{helped}"] = _exactly(f"{mark}/pgr")
        by_seed[f"agreement with the supervisor by seed{helped}"] = _exactly(f"{mark}/agreement")
    return event_values.layout({
        "Results": by_seed,
        "Calibration": calibration,
        "Training": {
            "loss": _exactly("train/loss", "eval/loss"),
            "agreement with held-out labels": _exactly("eval/agreement"),
            "weight of the student's own predictions (alpha)": _exactly("train/alpha"),
            "gradient norm": _exactly("train/grad_norm"),
            "weight of each supervisor (raven)": ["^train/weight_[0-9]+$"],
        },
    })  # fmt: skip


def _exactly(*tags: str) -> list[str]:
    """Regular expressions of these tags, and of no other that begins or ends alike."""
    return [f"^{re.escape(tag)}$" for tag in tags]
