"""The Reweighted and Boosted stages: AdaBoost's weights after a round, and its vote.

Freund & Schapire 1997; of more than two classes SAMME (Zhu et al. 2009).
"""

# R rounds, N rows, C classes

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.job import Context
from w2s.labels import Floats, LabelTable
from w2s.work.combine import read_members
from w2s.work.table import read_part
from w2s.work.truth import certain

ROUND = "round.json"
CLIP = 1e-3  # of the error: a round that is never wrong would count for ever
EVEN = 1e-12  # an error of one half is seldom so to the last bit


@dataclass(frozen=True)
class Round:
    """`error`: the weighted share of rows it is wrong on; `alpha`: its say in the vote. 0 from where boosting stopped."""

    error: float
    alpha: float
    stopped: bool


def judge(
    weights_N: Floats, wrong_N: NDArray[np.bool_], n_classes: int, *, stopped: bool = False
) -> tuple[Round, Floats]:
    """A round, and the weights [N] after it, which sum to N as those before it.

    alpha = (ln((1 - e) / e) + ln(C - 1)) / 2, which is AdaBoost's for two classes and half of SAMME's for more (votes are the same
    for any common factor); rows are multiplied by exp(alpha) where it is wrong and exp(-alpha) where it is right, which makes
    the weighted error of the same labels 1 - 1 / C. A round no better than that says nothing, nor does any after it: the
    weights then stay.
    """
    error = float(weights_N[wrong_N].sum() / weights_N.sum())
    if stopped or error >= 1 - 1 / n_classes - EVEN:
        return Round(error, 0.0, True), weights_N
    clipped = min(max(error, CLIP), 1 - CLIP)
    alpha = (math.log((1 - clipped) / clipped) + math.log(n_classes - 1)) / 2
    after_N = weights_N * np.exp(np.where(wrong_N, alpha, -alpha))
    return Round(error, alpha, False), after_N * (len(after_N) / after_N.sum())


def vote(probs_RNC: Floats, alpha_R: Floats, how: str) -> Floats:
    """Probabilities [N, C]: the mean of the rounds' probabilities (discrete: of their choices), weighted by alpha.

    Where no round counts, the first stands alone.
    """
    alpha_R = alpha_R if alpha_R.any() else np.eye(len(alpha_R))[0]
    said_RNC = probs_RNC if how == "soft" else np.eye(probs_RNC.shape[-1])[probs_RNC.argmax(axis=-1)]
    found: Floats = np.tensordot(alpha_R / alpha_R.sum(), said_RNC, axes=1)
    return found


def run(context: Context) -> dict[str, Any]:
    """Write the truth with the new weights, and `round.json`."""
    science = context.science
    rows = read_part(context, science["rows"])
    judged = LabelTable.load(context.inputs[science["judged"]["key"]]).join(rows.ids, context.name)
    weights_N, stopped = np.ones(len(rows)), False
    if science["before"] is not None:
        folder = context.inputs[science["before"]["key"]]
        weights_N = LabelTable.load(folder).join(rows.ids, context.name).weight_N
        stopped = read_round(folder).stopped
    wrong_N = judged.probs_NC.argmax(axis=1) != np.array(rows.labels)
    found, after_N = judge(weights_N, wrong_N, rows.n_classes, stopped=stopped)
    if found.stopped and not stopped:
        context.watch.note(f"weighted error {found.error:.3f}: this round and all after it count nothing")
    LabelTable.of_probs(rows.ids, certain(rows), after_N).save(context.out)
    (context.out / ROUND).write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    return {"n": len(rows), **asdict(found), "accuracy": float(1 - wrong_N.mean()), "heaviest": float(after_N.max())}


def run_vote(context: Context) -> dict[str, Any]:
    """Write the vote of all rounds."""
    ids, probs_RNC, _ = read_members(context)
    rounds = [read_round(context.inputs[one["key"]]) for one in context.science["rounds"]]
    alpha_R = np.array([one.alpha for one in rounds])
    if not alpha_R.any():
        context.watch.note("no round is better than chance: the first stands alone")
    LabelTable.of_probs(ids, vote(probs_RNC, alpha_R, context.science["vote"])).save(context.out)
    return {"n": len(ids), "rounds": len(rounds), "counted": int((alpha_R > 0).sum()), "alphas": alpha_R.tolist()}


def read_round(folder: Path) -> Round:
    """What a Reweighted stage found."""
    return Round(**json.loads((folder / ROUND).read_text(encoding="utf-8")))
