"""Scores of written answers: right or wrong by exact match, and how a student's answers relate to its supervisor's."""

# N rows

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from w2s.metrics.scores import Flags


def matches(texts: Sequence[str], others: Sequence[str]) -> Flags:
    """Row by row, whether two texts are the same but for space around them: [N]. Raises ValueError for other counts."""
    return np.array([one.strip() == other.strip() for one, other in zip(texts, others, strict=True)], dtype=np.bool_)


def grade_texts(
    texts: Sequence[str], truth: Sequence[str], supervisor: Sequence[str] | None = None
) -> dict[str, float | int | None]:
    """Exact match with the truth, and agreement with the supervisor where there is one; named as in `grade`.

    `right_where_apart` is the student's accuracy where the two differ, as there; but two that differ may both be wrong. None
    stands for a score these rows do not define. Raises ValueError without rows.
    """
    if not truth:
        raise ValueError("no rows")
    right_N = matches(texts, truth)
    common = Counter(text.strip() for text in truth).most_common(1)[0][1]
    result: dict[str, float | int | None] = {
        "n": len(truth),
        "accuracy": float(right_N.mean()),
        "majority": common / len(truth),
    }
    if supervisor is None:
        return result
    same_N, weak_right_N = matches(texts, supervisor), matches(supervisor, truth)
    return {
        **result,
        "agreement": float(same_N.mean()),
        "agreement_where_right": _mean(same_N[weak_right_N]),
        "agreement_where_wrong": _mean(same_N[~weak_right_N]),
        "right_where_apart": _mean(right_N[~same_N]),
    }


def _mean(flags_N: Flags) -> float | None:
    return float(flags_N.mean()) if len(flags_N) else None
