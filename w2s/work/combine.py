"""The Combine stage: several labellers' verdicts on the same rows, made one."""

# M members, N rows, C classes

from __future__ import annotations

from typing import Any

import numpy as np

from cluster.job import Context
from w2s.labels import Floats, LabelTable, softmax

TINY = 1e-12  # keeps the log of a unanimous vote finite
SURE = 1e-3  # nats: nobody is so sure that the others do not count


def combine(probs_MNC: Floats, logits_MNC: Floats, how: str) -> tuple[Floats, Floats]:
    """Probabilities and logits [N, C] of the crowd.

    mean_prob: the mean of probabilities. mean_logit: softmax of the mean logits (a geometric mean). majority: one vote
    each for its most probable class; ties go to the class of higher mean probability; the verdict is hard (one-hot).
    entropy: a mean in which each member weighs, row by row, as the inverse of its entropy there (Jeon et al. 2025).
    """
    if how == "mean_logit":
        logits_NC = logits_MNC.mean(axis=0)
        return softmax(logits_NC), logits_NC
    if how == "entropy":
        weight_MN = 1 / (entropies(probs_MNC) + SURE)
        probs_NC: Floats = (probs_MNC * (weight_MN / weight_MN.sum(axis=0))[..., None]).sum(axis=0)
        return probs_NC, np.log(np.clip(probs_NC, TINY, None))
    probs_NC = probs_MNC.mean(axis=0)
    if how == "majority":
        n_classes = probs_MNC.shape[-1]
        votes_NC = np.eye(n_classes)[probs_MNC.argmax(axis=-1)].sum(axis=0)
        winner_N = (votes_NC + 0.5 * probs_NC).argmax(axis=-1)  # half a vote at most: breaks ties, overrules nobody
        probs_NC = np.eye(n_classes)[winner_N]
    elif how != "mean_prob":
        raise ValueError(f"no way to combine called '{how}'")
    return probs_NC, np.log(np.clip(probs_NC, TINY, None))


def entropies(probs_NC: Floats) -> Floats:
    """Of each row [N], in nats."""
    found: Floats = -(probs_NC * np.log(np.clip(probs_NC, TINY, None))).sum(axis=-1)
    return found


def read_members(context: Context) -> tuple[tuple[str, ...], Floats, Floats]:
    """Ids, probabilities and logits [M, N, C] of a stage's `labels`, rows in the order of the first."""
    members = [LabelTable.load(context.inputs[label["key"]]) for label in context.science["labels"]]
    ids = members[0].ids
    joined = [member.join(ids, context.name) for member in members]
    return ids, np.stack([m.probs_NC for m in joined]), np.stack([m.logits_NC for m in joined])


def run(context: Context) -> dict[str, Any]:
    """Join the members' labels by id and combine them. Returns how often the members all agree."""
    ids, probs_MNC, logits_MNC = read_members(context)
    LabelTable(ids, *combine(probs_MNC, logits_MNC, context.science["how"])).save(context.out)
    choices_MN = probs_MNC.argmax(axis=-1)
    return {
        "n": len(ids),
        "members": len(probs_MNC),
        "unanimous": float((choices_MN == choices_MN[0]).all(axis=0).mean()),
    }
