"""The Truth and Joined stages: a part's ground truth with weights, and cross-fitted labels put together."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cluster.errors import BadInput
from cluster.job import Context
from w2s.labels import Floats, LabelTable
from w2s.stages import Piece, Sample
from w2s.work.table import RowTable, Whole, read_all


def run(context: Context) -> dict[str, Any]:
    """Write the truth of a part as certain labels, each row with its weight."""
    science = context.science
    whole = read_all(context.inputs[science["rows"]["rows"]["key"]])
    places = whole.places(science["rows"], context.name)
    rows, groups = whole.take(places), [whole.groups[i] for i in places]
    weights_N = weights(rows, groups, science, int(science["rows"].get("seed") or 0))
    if science.get("weights") is not None:
        table = LabelTable.load(context.inputs[science["weights"]["key"]]).join(rows.ids, context.name)
        column = science.get("column")
        weights_N *= table.weight_N if column is None else table.probs_NC[:, column]
    if not weights_N.any():
        raise BadInput(context.name, f"none of {len(rows)} rows is left", "take more rows (task.n_train)")
    LabelTable.of_probs(rows.ids, certain(rows), weights_N).save(context.out)
    return {"n": len(rows), "kept": int((weights_N > 0).sum())}


def certain(rows: RowTable) -> Floats:
    """One-hot truth [N, C]."""
    found: Floats = np.eye(rows.n_classes)[list(rows.labels)]
    return found


def weights(rows: RowTable, groups: list[str], science: Mapping[str, Any], seed: int) -> Floats:
    """How often each row counts [N]: by its group's draws, its class, and the piece it lies in."""
    weights_N = np.ones(len(rows))
    if science["sample"] is not None:
        counts = Sample(**science["sample"]).counts(sorted(set(groups)))
        weights_N *= [counts[group] for group in groups]
    if science["only"] is not None:
        weights_N *= [label in science["only"] for label in rows.labels]
    if science["left_out"] is not None:
        piece = Piece(**science["left_out"])
        weights_N *= [not piece.holds(seed, group) for group in groups]
    return weights_N


def run_joined(context: Context) -> dict[str, Any]:
    """Write the pieces' labels as one table, rows in the part's order."""
    science = context.science
    whole: Whole = read_all(context.inputs[science["rows"]["rows"]["key"]])
    ids = whole.take(whole.places(science["rows"], context.name)).ids
    pieces = [LabelTable.load(context.inputs[label["key"]]) for label in science["labels"]]
    every = LabelTable(
        tuple(row_id for piece in pieces for row_id in piece.ids),
        np.concatenate([piece.probs_NC for piece in pieces]),
        np.concatenate([piece.logits_NC for piece in pieces]),
    )
    every.join(ids, context.name).save(context.out)
    return {"n": len(ids), "pieces": len(pieces)}
