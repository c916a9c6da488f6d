"""The Clusters, Assigned and Denoised stages of co-supervised learning (Liu & Alahi 2024, 2402.15505)."""

# N rows, M rows of the reference, S specialists, K clusters, C classes, D width

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadInput
from cluster.job import Context
from w2s.labels import Floats, LabelTable
from w2s.work import features
from w2s.work.filter import Flags, lowest_first, save, share
from w2s.work.neighbours import Ints, points
from w2s.work.table import read_all, read_part

TINY = 1e-12  # keeps the log of what is ruled out finite
STARTS = 10  # of k-means, of which the best is kept


def run_clusters(context: Context) -> dict[str, Any]:
    """Write the rows' clusters, one-hot."""
    science, name = context.science, context.name
    whole = read_all(context.inputs[science["rows"]["rows"]["key"]])
    wanted, known = whole.places(science["rows"], name), whole.places(science["reference"], name)
    vectors_NKD = features.read(context.inputs[science["features"]["key"]], [str(science["layer"])]).vectors_NKD
    all_ND = points(vectors_NKD.numpy(), name)
    place_N = clusters(all_ND[known], all_ND[wanted], science["count"], name)
    one_hot_NK = np.eye(science["count"])[place_N]
    LabelTable.of_probs(whole.take(wanted).ids, one_hot_NK).save(context.out)
    return {"n": len(wanted), "sizes": one_hot_NK.sum(axis=0).astype(int).tolist()}


def clusters(known_MD: Floats, wanted_ND: Floats, count: int, where: str) -> NDArray[np.int64]:
    """The cluster [N] of each wanted row: the nearest middle of k-means on the known rows, in standardised space.

    Raises BadInput for fewer different rows than clusters.
    """
    from sklearn.cluster import KMeans

    different = len(np.unique(known_MD, axis=0))
    if different < count:
        what = f"{different} different rows, and {count} clusters need as many"
        raise BadInput(where, what, "take more rows (task.n_train), or fewer specialists")
    middle_D, spread_D = known_MD.mean(axis=0), known_MD.std(axis=0)
    spread_D = np.where(spread_D > TINY, spread_D, 1.0)
    found = KMeans(count, n_init=STARTS, random_state=0).fit((known_MD - middle_D) / spread_D)
    place_N: Ints = found.predict((wanted_ND - middle_D) / spread_D).astype(np.int64)
    return place_N


def run_assigned(context: Context) -> dict[str, Any]:
    """Write each row's label by its own specialist."""
    science, name = context.science, context.name
    rows = read_part(context, science["rows"])

    def read(label: dict[str, str]) -> Floats:
        return LabelTable.load(context.inputs[label["key"]]).join(rows.ids, name).probs_NC

    student_NC, specialists_SNC = read(science["student"]), np.stack([read(one) for one in science["specialists"]])
    if science["how"] == "class":
        place_N = responsible(student_NC, science["ranges"])
    elif science["how"] == "cluster":
        place_N = read(science["clusters"]).argmax(axis=1)
    else:
        place_N = nearest_in_kl(student_NC, specialists_SNC)
    probs_NC: Floats = specialists_SNC[place_N, np.arange(len(rows))]
    LabelTable.of_probs(rows.ids, probs_NC).save(context.out)
    choice_N = probs_NC.argmax(axis=1)
    return {
        "n": len(rows), "assigned": np.bincount(place_N, minlength=len(specialists_SNC)).tolist(),
        "accuracy": float((choice_N == np.array(rows.labels)).mean()),
        "agreement": float((choice_N == student_NC.argmax(axis=1)).mean()),
    }  # fmt: skip


def responsible(student_NC: Floats, ranges: Sequence[Sequence[int]]) -> Ints:
    """The specialist [N] whose range holds the student's most probable class."""
    owner = {label: index for index, classes in enumerate(ranges) for label in classes}
    return np.array([owner[label] for label in student_NC.argmax(axis=1).tolist()], dtype=np.int64)


def nearest_in_kl(student_NC: Floats, specialists_SNC: Floats) -> Ints:
    """The specialist [N] with the smallest KL(student || specialist); of equals the first."""
    apart_SN = -(student_NC * np.log(np.clip(specialists_SNC, TINY, None))).sum(
        axis=-1
    )  # less the student's own entropy
    found: Ints = apart_SN.argmin(axis=0)
    return found


def run_denoised(context: Context) -> dict[str, Any]:
    """Write the labels again, with weights."""
    science = context.science
    rows = read_part(context, science["rows"])
    labels = LabelTable.load(context.inputs[science["labels"]["key"]]).join(rows.ids, context.name)
    student = LabelTable.load(context.inputs[science["student"]["key"]]).join(rows.ids, context.name)
    kept_N = likely(labels.probs_NC.argmax(axis=1), student.probs_NC, science["top"], rows.ids, context.name)
    return save(context, rows, labels, kept_N)


def likely(new_N: Ints, student_NC: Floats, top: int, ids: Sequence[str], where: str) -> Flags:
    """As many rows as have their new class among the student's `top` most probable: those where it is most probable.

    Raises BadInput where no row has.
    """
    own_N = student_NC[np.arange(len(new_N)), new_N]
    rate = float(((student_NC > own_N[:, None]).sum(axis=1) < top).mean())
    if rate == 0:
        raise BadInput(where, "the student finds none of the new labels likely", "raise top, or take fewer specialists")
    kept_N = np.zeros(len(ids), dtype=np.bool_)
    kept_N[lowest_first(-own_N, ids)[: share(rate, len(ids))]] = True
    return kept_N
