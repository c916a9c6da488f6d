"""The Smooth stage: labels are spread over the graph of nearest rows, until each agrees with its surroundings.

Label propagation with the row-normalised P = D^-1 A: its fixed point is (1 - a)(I - a P)^-1 Y0, constants stay as they are, and
nothing leaves the range of Y0, so probabilities stay probabilities. (The symmetric D^-1/2 A D^-1/2 of Zhou et al. 2004 keeps none
of that.) Nobody is asked what is true.
"""

# N rows, D width, C classes, k neighbours

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cluster.job import Context
from w2s.labels import Floats, LabelTable
from w2s.metrics import accuracy
from w2s.work import features, gate
from w2s.work.neighbours import nearest, points
from w2s.work.table import read_all

ENOUGH = 1e-4  # of the largest change of a probability, after which nothing more is spread
DEAD = 1e-12  # a feature, or a vector, that small has no direction


def run(context: Context) -> dict[str, Any]:
    """Write the smoothed `labels.parquet`. Tells, for the eye alone, how right labels were before and after."""
    science, name = context.science, context.name
    whole = read_all(context.inputs[science["rows"]["rows"]["key"]])
    # by id, so that no row's place in a file decides in which order its neighbours are added up
    places = sorted(whole.places(science["rows"], name), key=lambda place: whole.rows.ids[place])
    rows = whole.take(places)
    folder = context.inputs[science["labels"]["key"]]
    labels = LabelTable.load(folder).join(rows.ids, name)
    read = features.read(context.inputs[science["features"]["key"]], [str(science["layer"])])
    vectors_ND = points(read.vectors_NKD.numpy()[places], name)
    graph = walk_matrix(unit(vectors_ND, standardise=science["standardise"]), science["neighbours"], name)
    clamped_N = gate.passed(folder, rows.ids, name) if science["clamp"] else None
    probs_NC, steps, moved = spread(graph, labels.probs_NC, science["alpha"], science["steps"], clamped_N)
    LabelTable.of_probs(rows.ids, probs_NC, labels.weights_N).save(context.out)
    truth_N = np.array(rows.labels, dtype=np.int64)
    return {
        "n": len(rows),
        "steps": steps,
        "moved": moved,
        "isolated": int((graph.diagonal() > 0).sum()),
        "changed": float((probs_NC.argmax(axis=1) != labels.probs_NC.argmax(axis=1)).mean()),
        "accuracy_before": accuracy(labels.probs_NC, truth_N),
        "accuracy": accuracy(probs_NC, truth_N),
    }


def unit(vectors_ND: Floats, *, standardise: bool) -> Floats:
    """Vectors of length 1, of features that were first centred and scaled where that is asked for; a zero stays zero."""
    if standardise:
        spread_D = vectors_ND.std(axis=0)
        vectors_ND = (vectors_ND - vectors_ND.mean(axis=0)) / np.where(spread_D > DEAD, spread_D, 1.0)
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    found: Floats = vectors_ND / np.where(length_N1 > DEAD, length_N1, 1.0)
    return found


def walk_matrix(unit_ND: Floats, neighbours: int, where: str) -> sparse.csr_array:
    """P [N, N]: a step from a row to those that are among its nearest, or have it among theirs, by max(0, cosine).

    Rows add up to 1. A row without an edge stays where it is (1 on the diagonal); no other is its own neighbour. Raises BadInput
    where there is one row alone.
    """
    count = len(unit_ND)
    nearest_Nk = nearest(unit_ND, unit_ND, np.arange(count), neighbours, where)
    source_M, target_M = np.repeat(np.arange(count), nearest_Nk.shape[1]), nearest_Nk.ravel()
    cosine_M = np.einsum("md,md->m", unit_ND[source_M], unit_ND[target_M])
    directed = sparse.csr_array((np.maximum(cosine_M, 0.0), (source_M, target_M)), shape=(count, count))
    graph = directed.maximum(directed.T)
    degree_N = np.asarray(graph.sum(axis=1)).ravel()
    alone_N = degree_N <= DEAD
    inverse_N = np.where(alone_N, 0.0, 1.0 / np.where(alone_N, 1.0, degree_N))
    found = sparse.diags_array(inverse_N) @ graph + sparse.diags_array(alone_N.astype(np.float64))
    return sparse.csr_array(found)


def spread(
    walk_NN: sparse.csr_array, start_NC: Floats, alpha: float, steps: int, clamped_N: NDArray[np.bool_] | None = None
) -> tuple[Floats, int, float]:
    """Labels [N, C] after so many steps of Y <- alpha P Y + (1 - alpha) Y0, the steps taken, and the last largest change.

    Ends early where no probability moves by 1e-4 any more. Rows that are clamped keep what they started with.
    """
    probs_NC, moved, taken = start_NC, np.inf, 0
    while taken < steps and moved >= ENOUGH:
        ahead_NC: Floats = alpha * (walk_NN @ probs_NC) + (1 - alpha) * start_NC
        if clamped_N is not None:
            ahead_NC[clamped_N] = start_NC[clamped_N]
        moved = float(np.abs(ahead_NC - probs_NC).max())
        probs_NC, taken = ahead_NC, taken + 1
    return probs_NC, taken, moved
