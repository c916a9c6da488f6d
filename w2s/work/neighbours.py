"""Which rows lie nearest to which, in a frozen model's hidden states. A row is never its own neighbour."""

# N rows asked about, M rows among which neighbours are sought, k neighbours, K texts a row, D width, C classes

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadInput
from w2s.labels import Floats

Ints = NDArray[np.int64]
AT_ONCE = 2**24  # distances held in memory at a time: 128 MiB
NOBODY = -1


def points(vectors_NKD: NDArray[np.float32], where: str) -> Floats:
    """One vector a row [N, D], float64: its only text's, or of two candidates the second's less the first's.

    A difference turns round when the candidates change places, as their label does. Raises BadInput for more than two:
    no one vector says which of them a row prefers.
    """
    candidates = vectors_NKD.shape[1]
    if candidates > 2:
        what = f"rows of {candidates} candidates have no single place among others"
        raise BadInput(where, what, "choose labels by confidence or by logistic")
    vectors = vectors_NKD.astype(np.float64)
    return vectors[:, 0] if candidates == 1 else vectors[:, 1] - vectors[:, 0]


def nearest(wanted_ND: Floats, among_MD: Floats, self_N: Ints, count: int, where: str) -> Ints:
    """The k nearest of M rows for each of N by Euclidean distance, as places in M [N, k], nearest first.

    `self_N` says where in M a row itself stands (NOBODY: it is not there): it is passed over, by identity and not by its
    distance of 0, which a twin has too. k is `count`, or all others where there are fewer. Equal distances: the lower place.
    Raises BadInput where there are no others.
    """
    k = min(count, len(among_MD) - int((self_N != NOBODY).any()))
    if k < 1:
        raise BadInput(where, "no row has a neighbour", "take more rows (task.n_train)")
    middle_D = among_MD.mean(axis=0)  # near zero, so that squares do not swallow differences
    among_MD, wanted_ND = among_MD - middle_D, wanted_ND - middle_D
    square_M = (among_MD**2).sum(axis=1)
    found_Nk = np.empty((len(wanted_ND), k), dtype=np.int64)
    rows = max(1, AT_ONCE // len(among_MD))
    for start in range(0, len(wanted_ND), rows):
        part = slice(start, start + rows)
        # a row's own square is the same for all it is compared with
        away_BM = square_M - 2 * (wanted_ND[part] @ among_MD.T)
        own_B = self_N[part]
        there_B = np.flatnonzero(own_B != NOBODY)
        away_BM[there_B, own_B[there_B]] = np.inf
        found_Nk[part] = _lowest(away_BM, k)
    return found_Nk


def _lowest(values_BM: Floats, k: int) -> Ints:
    """Places of the k lowest values of each row, ascending; of equals the lower place."""
    some_Bk = np.sort(np.argpartition(values_BM, k - 1, axis=1)[:, :k], axis=1)
    last_B1 = np.take_along_axis(values_BM, some_Bk, axis=1).max(axis=1, keepdims=True)
    tied_B = (values_BM <= last_B1).sum(axis=1) > k  # the cut goes through equals: argpartition takes any of them
    some_Bk[tied_B] = np.sort(np.argsort(values_BM[tied_B], axis=1, kind="stable")[:, :k], axis=1)
    order_Bk = np.argsort(np.take_along_axis(values_BM, some_Bk, axis=1), axis=1, kind="stable")
    found: Ints = np.take_along_axis(some_Bk, order_Bk, axis=1)
    return found


def mean_label(neighbours_Nk: Ints, probs_MC: Floats, weight_M: Floats) -> Floats:
    """Each row's neighbours' labels, averaged by weight [N, C]."""
    weight_Nk1 = weight_M[neighbours_Nk][:, :, None]
    found: Floats = (probs_MC[neighbours_Nk] * weight_Nk1).sum(axis=1) / weight_Nk1.sum(axis=1)
    return found


def apart(first_NC: Floats, second_NC: Floats) -> Floats:
    """How far two labels of a row lie apart [N]: the total variation distance, in a binary task |p - q|."""
    found: Floats = abs(first_NC - second_NC).sum(axis=1) / 2
    return found
