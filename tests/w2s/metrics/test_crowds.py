"""How alike members are, by hand: how often two differ, how far they err together."""

from __future__ import annotations

import numpy as np
import pytest

from w2s.metrics.crowds import disagreement, error_correlations


def says(*choices: int) -> np.ndarray:
    return 0.8 * np.eye(2)[list(choices)] + 0.1


TRUTH = np.zeros(8, dtype=np.int64)


def test_disagreement_is_over_pairs() -> None:
    one, other, third = says(0, 0, 0, 0), says(0, 0, 1, 1), says(1, 1, 1, 1)
    assert disagreement([one, other]) == 0.5
    assert disagreement([one, other, third]) == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert disagreement([one]) == 0


def test_errors_of_the_same_rows_correlate() -> None:
    same, other = says(1, 1, 0, 0, 0, 0, 0, 0), says(0, 0, 1, 1, 0, 0, 0, 0)
    assert error_correlations([same, same], TRUTH) == pytest.approx([1.0])
    assert error_correlations([same, other], TRUTH) == pytest.approx([-1 / 3])


def test_independent_errors_do_not() -> None:
    one, other = says(1, 1, 1, 1, 0, 0, 0, 0), says(1, 1, 0, 0, 1, 1, 0, 0)
    assert error_correlations([one, other], TRUTH) == pytest.approx([0.0])


def test_it_is_the_correlation_of_being_wrong() -> None:
    generator = np.random.default_rng(0)
    members = [says(*generator.integers(0, 2, 8)) for _ in range(3)]
    wrong = np.array([one.argmax(1) != TRUTH for one in members], dtype=float)
    wanted = np.corrcoef(wrong)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(error_correlations(members, TRUTH), wanted)


def test_who_is_never_wrong_correlates_with_nobody() -> None:
    right, always = says(*[0] * 8), says(*[1] * 8)
    some = says(1, 0, 0, 0, 0, 0, 0, 0)
    assert error_correlations([right, some], TRUTH) == error_correlations([always, some], TRUTH) == []
