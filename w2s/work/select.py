"""The Selected stage: which weak model to learn from, decided on held-out rows; its labels, or its student's, are handed on."""

# J candidates, N rows, C classes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cluster.job import Context
from w2s.labels import LabelTable
from w2s.metrics import choose, held_out_terms, predicted_losses
from w2s.work.table import RowTable, read_part


def run(context: Context) -> dict[str, Any]:
    """Write the chosen option's labels again. Returns the decision and what it was made from, candidate by candidate."""
    science = context.science
    rows = read_part(context, science["val"])
    found = [
        _judge(context, rows, weak, student) for weak, student in zip(science["weak"], science["students"], strict=True)
    ]
    weak_J, misfit_J = [weak for weak, _ in found], [apart for _, apart in found]
    chosen = choose(weak_J, misfit_J, science["slope"])
    predicted_J = predicted_losses(weak_J, misfit_J, science["slope"]).tolist()
    labels = LabelTable.load(context.inputs[science["options"][chosen]["key"]])
    labels.save(context.out)
    context.watch.note(f"candidate {chosen} of {len(found)}: predicted loss {predicted_J[chosen]:.4f}")
    return {
        "n": len(labels.ids), "held_out": len(rows), "chosen": chosen, "candidates": len(found),
        "predicted_loss": predicted_J, "weak_loss": weak_J, "misfit": misfit_J,
    }  # fmt: skip


def _judge(
    context: Context, rows: RowTable, weak: Mapping[str, Any], student: Mapping[str, Any]
) -> tuple[float, float]:
    """A candidate's cross-entropy on held-out rows, and its student's misfit there."""
    weak_NC, student_NC = (
        LabelTable.load(context.inputs[one["key"]]).join(rows.ids, context.name).probs_NC for one in (weak, student)
    )
    truth_N = np.array(rows.labels, dtype=np.int64)
    terms = held_out_terms(rows.ids, weak_NC, student_NC, truth_N, calibrate=context.science["calibrate"])
    loss, apart = (_mean(rows.ids, one_N.tolist()) for one_N in terms)
    return loss, apart


def _mean(ids: Sequence[str], values: Sequence[float]) -> float:
    """Added up in the order of ids, so that no file's order moves the last digit, and with it a tie."""
    return float(np.mean([value for _, value in sorted(zip(ids, values, strict=True))]))
