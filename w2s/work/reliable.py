"""The Reliable stage: labels weighted by how often a crowd's members give the same answer (Guo & Yang 2024, 2406.19032)."""

# M members, N rows, C classes

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cluster.job import Context
from w2s.labels import Floats, LabelTable, softmax
from w2s.work.combine import entropies
from w2s.work.filter import SLACK, Flags
from w2s.work.table import read_part


def run(context: Context) -> dict[str, Any]:
    """Write the verdict again, with weights. For the eye: how right it is, as told and by weight."""
    science, name = context.science, context.name
    rows = read_part(context, science["rows"])
    verdict = LabelTable.load(context.inputs[science["labels"]["key"]]).join(rows.ids, name)
    members = [LabelTable.load(context.inputs[one["key"]]).join(rows.ids, name) for one in science["members"]]
    share_NC = frequencies(np.stack([one.probs_NC for one in members]))
    if science["how"] == "filter":
        weights_N = steady(share_NC, science["keep"]).astype(np.float64)
    else:
        weights_N = trust(share_NC, verdict.probs_NC, science["temperature"])
    weights_N = verdict.weight_N * weights_N
    LabelTable(verdict.ids, verdict.probs_NC, verdict.logits_NC, weights_N).save(context.out)
    right_N = verdict.probs_NC.argmax(axis=1) == np.array(rows.labels)
    return {
        "n": len(rows), "members": len(members), "kept": int((weights_N > 0).sum()),
        "unanimous": float((share_NC.max(axis=1) == 1).mean()), "entropy": float(entropies(share_NC).mean()),
        "accuracy": float(right_N.mean()), "accuracy_kept": float((right_N * weights_N).sum() / weights_N.sum()),
    }  # fmt: skip


def frequencies(probs_MNC: Floats) -> Floats:
    """How often each class is a member's answer [N, C]."""
    found: Floats = np.eye(probs_MNC.shape[-1])[probs_MNC.argmax(axis=-1)].mean(axis=0)
    return found


def steady(share_NC: Floats, keep: float) -> Flags:
    """Rows whose entropy is at most the one below which a share `keep` of all rows lies (.5: the median). Ties are all kept."""
    entropy_N = entropies(share_NC)
    limit = np.sort(entropy_N)[max(1, math.ceil(keep * len(entropy_N) - SLACK)) - 1]
    kept_N: Flags = entropy_N <= limit + SLACK
    return kept_N


def trust(share_NC: Floats, probs_NC: Floats, temperature: float) -> Floats:
    """softmax(frequency / temperature) over the classes, at the verdict's [N], with a mean of 1."""
    given_N = probs_NC.argmax(axis=1)
    weight_N: Floats = softmax(share_NC / temperature)[np.arange(len(given_N)), given_N]
    found: Floats = weight_N / weight_N.mean()
    return found
