"""The Filter stage: labels that are trusted least get weight 0. Nobody is asked what is true."""

# N rows, C classes

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadInput
from cluster.job import Context
from w2s.examples import hash_unit
from w2s.labels import Floats, LabelTable
from w2s.work.neighbours import apart
from w2s.work.table import RowTable, read_part

Flags = NDArray[np.bool_]
SLACK = 1e-9  # 0.7 * 10 is a little under 7


def run(context: Context) -> dict[str, Any]:
    """Write the labels again, with weights."""
    science = context.science
    rows = read_part(context, science["rows"])
    labels = LabelTable.load(context.inputs[science["labels"]["key"]]).join(rows.ids, context.name)
    if science["how"] == "confidence":
        kept_N = most_confident(labels.probs_NC, science["keep"], rows.ids)
    elif science["how"] == "threshold":
        kept_N = above(labels.probs_NC, science["keep"], context.name)
    else:
        opinion = LabelTable.load(context.inputs[science["opinion"]["key"]]).join(rows.ids, context.name)
        kept_N = least_apart(apart(labels.probs_NC, opinion.probs_NC), science["keep"], rows.ids)
    return save(context, rows, labels, kept_N)


def most_confident(probs_NC: Floats, keep: float, ids: Sequence[str]) -> Flags:
    """Of each hard class the share `keep` of the greatest probability (Burns et al. 2023, appendix B); at least one row."""
    class_N, kept_N = probs_NC.argmax(axis=1), np.zeros(len(ids), dtype=np.bool_)
    for c in np.unique(class_N):
        members = np.flatnonzero(class_N == c)
        order = lowest_first(-probs_NC[members, c], [ids[int(i)] for i in members])
        kept_N[members[order[: share(keep, len(members))]]] = True
    return kept_N


def above(probs_NC: Floats, threshold: float, where: str) -> Flags:
    """Those whose greatest probability exceeds the threshold. Raises BadInput where none does."""
    top_N = probs_NC.max(axis=1)
    kept_N: Flags = top_N > threshold
    if not kept_N.any():
        raise BadInput(where, f"no label is above {threshold}; the surest has {top_N.max():.3f}", "lower the threshold")
    return kept_N


def least_apart(apart_N: Floats, keep: float, ids: Sequence[str]) -> Flags:
    """The share `keep` of the smallest distances."""
    kept_N = np.zeros(len(ids), dtype=np.bool_)
    kept_N[lowest_first(apart_N, ids)[: share(keep, len(ids))]] = True
    return kept_N


def share(keep: float, count: int) -> int:
    """How many of `count` rows a share is, rounded up: what is dropped never exceeds its own share."""
    return max(1, math.ceil(keep * count - SLACK))


def lowest_first(values_N: Floats, ids: Sequence[str]) -> NDArray[np.int64]:
    """Places in ascending order of value; equals in an order by hash of id, so that no row's place in a file has a say."""
    draw_N = np.array([hash_unit("filter", row_id) for row_id in ids])
    found: NDArray[np.int64] = np.lexsort((draw_N, values_N))
    return found


def save(context: Context, rows: RowTable, labels: LabelTable, kept_N: Flags) -> dict[str, Any]:
    """Write the weighted labels. Returns counts, and for the eye how right the labels were before and after."""
    weights_N = labels.weight_N * kept_N
    LabelTable(labels.ids, labels.probs_NC, labels.logits_NC, weights_N).save(context.out)
    choice_N, truth_N = labels.probs_NC.argmax(axis=1), np.array(rows.labels)
    classes = {f"kept_class_{c}": int((choice_N[kept_N] == c).sum()) for c in range(rows.n_classes)}
    if sum(count > 0 for count in classes.values()) == 1:
        context.watch.note("the labels that are kept are all of one class")
    right_N = choice_N == truth_N
    accuracies = {"accuracy": float(right_N.mean()), "accuracy_kept": float(right_N[kept_N].mean())}
    return {"n": len(rows), "kept": int(kept_N.sum()), **classes, **accuracies}
