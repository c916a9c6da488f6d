"""The TopoFilter stage: labels chosen by the shape of their class among hidden states (Wu et al. 2020, arXiv 2012.04835)."""

# N rows, M of them that are left, k neighbours, D width, C classes

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cluster.job import Context
from w2s.labels import Floats, LabelTable
from w2s.work import features
from w2s.work.filter import Flags, lowest_first, save, share
from w2s.work.neighbours import Ints, apart, mean_label, nearest, points
from w2s.work.table import read_all


def run(context: Context) -> dict[str, Any]:
    """Write the labels again, with weights."""
    science, name = context.science, context.name
    whole = read_all(context.inputs[science["rows"]["rows"]["key"]])
    places = whole.places(science["rows"], name)
    rows = whole.take(places)
    labels = LabelTable.load(context.inputs[science["labels"]["key"]]).join(rows.ids, name)
    vectors_NKD = features.read(context.inputs[science["features"]["key"]], [str(science["layer"])]).vectors_NKD
    vectors_ND = points(vectors_NKD[places].numpy(), name)
    neighbours_Nk = nearest(vectors_ND, vectors_ND, np.arange(len(places)), science["neighbours"], name)
    core_N = largest_components(neighbours_Nk, labels.probs_NC.argmax(axis=1))
    kept_N = zeta(vectors_ND, labels, core_N, science["neighbours"], science["keep"], rows.ids, name)
    return {**save(context, rows, labels, kept_N), "in_components": int(core_N.sum())}


def largest_components(neighbours_Nk: Ints, class_N: NDArray[np.int64]) -> Flags:
    """Rows in their class's largest component of the graph "is a neighbour of", links between classes left out.

    Strongly connected, as EleutherAI/w2s has it: both rows can be reached from each other, not one from the other alone.
    Of components of one size the first row's.
    """
    rows, k = neighbours_Nk.shape
    start_L, end_L = np.repeat(np.arange(rows), k), neighbours_Nk.ravel()
    within_L = class_N[start_L] == class_N[end_L]
    links = csr_array((np.ones(within_L.sum()), (start_L[within_L], end_L[within_L])), shape=(rows, rows))
    component_N = connected_components(links, directed=True, connection="strong")[1]
    kept_N = np.zeros(rows, dtype=np.bool_)
    for c in np.unique(class_N):
        found, first, size = np.unique(component_N[class_N == c], return_index=True, return_counts=True)
        kept_N |= component_N == found[np.lexsort((first, -size))[0]]
    return kept_N


def zeta(
    vectors_ND: Floats, labels: LabelTable, core_N: Flags, neighbours: int, keep: float, ids: Sequence[str], where: str
) -> Flags:
    """Of the rows in the core, the share `keep` of all rows whose labels are nearest to their neighbours' mean label.

    Neighbours are sought in the core alone. Where the core is smaller than that share already, all of it.
    """
    left = np.flatnonzero(core_N)
    if len(left) <= max(1, share(keep, len(ids))):
        return core_N
    vectors_MD, probs_MC = vectors_ND[left], labels.probs_NC[left]
    neighbours_Mk = nearest(vectors_MD, vectors_MD, np.arange(len(left)), neighbours, where)
    apart_M = apart(probs_MC, mean_label(neighbours_Mk, probs_MC, np.ones(len(left))))
    kept_N = np.zeros(len(ids), dtype=np.bool_)
    kept_N[left[lowest_first(apart_M, [ids[int(i)] for i in left])[: share(keep, len(ids))]]] = True
    return kept_N
