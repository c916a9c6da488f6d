"""The Crowd and Calibrated stages: labellers side by side, and one made as sure as it is right."""

# M members, N rows, C classes

from __future__ import annotations

from typing import Any

import numpy as np

from cluster.job import Context
from w2s.labels import LabelTable
from w2s.metrics import at_temperature, fit_temperature
from w2s.work.combine import read_members
from w2s.work.table import read_part


def run(context: Context) -> dict[str, Any]:
    """Write the members' probabilities beside their mean."""
    ids, probs_MNC, _ = read_members(context)
    mean = LabelTable.of_probs(ids, probs_MNC.mean(axis=0), members_NMC=probs_MNC.swapaxes(0, 1))
    mean.save(context.out)
    return {"n": len(ids), "members": len(probs_MNC)}


def run_calibrated(context: Context) -> dict[str, Any]:
    """Write the labels at the temperature fitted on held-out rows."""
    science = context.science
    rows = read_part(context, science["val"])
    held = LabelTable.load(context.inputs[science["held_out"]["key"]]).join(rows.ids, context.name)
    found = fit_temperature(held.probs_NC, np.array(rows.labels, dtype=np.int64))
    labels = LabelTable.load(context.inputs[science["labels"]["key"]])
    probs_NC = at_temperature(labels.probs_NC, found)
    LabelTable.of_probs(labels.ids, probs_NC, labels.weights_N).save(context.out)
    return {"n": len(labels.ids), "held_out": len(rows), "temperature": found}
