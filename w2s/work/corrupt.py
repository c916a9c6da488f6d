"""The Corrupt stage: control labels, the truth with as many errors as other labels make, but of a chosen structure."""

# N rows, C classes

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.job import Context
from w2s.examples import hash_unit
from w2s.labels import Floats, LabelTable
from w2s.work.table import RowTable, read_part

Ints = NDArray[np.int64]


def run(context: Context) -> dict[str, Any]:
    """Write hard labels for the part's rows."""
    science = context.science
    rows = read_part(context, science["rows"])
    like = LabelTable.load(context.inputs[science["like"]["key"]]).join(rows.ids, context.name)
    sure_NC = None
    if science["sure"] is not None:
        sure_NC = LabelTable.load(context.inputs[science["sure"]["key"]]).join(rows.ids, context.name).probs_NC
    truth_N = np.array(rows.labels, dtype=np.int64)
    errors = int((like.probs_NC.argmax(axis=1) != truth_N).sum())
    label_N = truth_N.copy()
    for i in order(science["structure"], rows, science["seed"], sure_NC)[:errors]:
        label_N[i] = wrong(rows.ids[i], rows.labels[i], rows.n_classes, science["seed"])
    LabelTable.of_probs(rows.ids, np.eye(rows.n_classes)[label_N]).save(context.out)
    return {"n": len(rows), "errors": errors, "accuracy": float((label_N == truth_N).mean())}


def order(structure: str, rows: RowTable, seed: int, sure_NC: Floats | None) -> Ints:
    """All rows, those first that are made wrong first; equals (and `random`: all) in an order by hash of seed and id.

    longest, shortest: by characters of all of a row's texts. unconfident: the least greatest probability first. confident:
    rows where `sure_NC` is right, the surest first; then those where it is wrong, the surest last.
    """
    draw_N = np.array([hash_unit("corrupt", seed, row_id) for row_id in rows.ids])
    found: Ints = np.lexsort([draw_N, *_marks(structure, rows, sure_NC)])
    return found


def _marks(structure: str, rows: RowTable, sure_NC: Floats | None) -> list[NDArray[Any]]:
    """What rows are sorted by, ascending; the last decides first."""
    length_N = np.array([sum(map(len, texts)) for texts in rows.texts])
    if structure in ("longest", "shortest"):
        return [-length_N if structure == "longest" else length_N]
    if structure == "random":
        return []
    assert sure_NC is not None, f"{structure} asks a model that learned from truth"
    top_N = sure_NC.max(axis=1)
    if structure == "unconfident":
        return [top_N]
    right_N = sure_NC.argmax(axis=1) == np.array(rows.labels)
    return [np.where(right_N, -top_N, top_N), ~right_N]


def wrong(row_id: str, truth: int, n_classes: int, seed: int) -> int:
    """One of the other classes, by hash."""
    step = 1 + int(hash_unit("wrong class", seed, row_id) * (n_classes - 1))
    return (truth + step) % n_classes
