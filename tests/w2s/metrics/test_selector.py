"""Which weak model to learn from: by what its student should be, with c as in theory or fitted."""

from __future__ import annotations

import numpy as np
import pytest

from w2s.metrics import choose, fit_slope, predicted_losses


def test_least_loss_after_the_gain_is_chosen() -> None:
    """The second is worse than the first and its student gains more; the third is hopeless, however much it misfits."""
    weak, misfit = [0.50, 0.60, 2.00], [0.05, 0.30, 0.90]
    assert predicted_losses(weak, misfit).tolist() == pytest.approx([0.45, 0.30, 1.10])
    assert choose(weak, misfit) == 1
    assert choose(weak, misfit, c=0.25) == 0  # .4875 and .525: with so little of it gained, the better teacher wins
    assert choose(weak, misfit, c=0) == 0
    assert int(np.argmax(misfit)) == 2, "misfit alone would choose the hopeless one"


def test_slope_is_least_squares_through_the_origin() -> None:
    generator = np.random.default_rng(0)
    misfit = generator.uniform(0.1, 1, 6)
    gain = 0.4 * misfit + generator.normal(0, 0.05, 6)
    assert fit_slope(gain.tolist(), misfit.tolist()) == pytest.approx(
        np.linalg.lstsq(misfit[:, None], gain, rcond=None)[0][0]
    )
    assert fit_slope([0.3], [0.6]) == pytest.approx(0.5)


def test_published_imagenet_pairs_have_a_slope_of_about_a_quarter() -> None:
    """Gain .452 of misfit 1.640, and .277 of 1.099 (Mulgund & Pabbaraju 2025, notebooks): .28 and .25."""
    assert 0.25 < fit_slope([0.452, 0.277], [1.640, 1.099]) < 0.28


@pytest.mark.parametrize(
    "weak, misfit", [([], []), ([0.1], [0.1, 0.2]), ([float("nan")], [0.1]), ([0.1], [float("inf")])]
)
def test_odd_numbers_are_refused(weak: list[float], misfit: list[float]) -> None:
    with pytest.raises(ValueError):
        choose(weak, misfit)


def test_a_slope_needs_some_misfit() -> None:
    with pytest.raises(ValueError, match="misfit"):
        fit_slope([0.1, 0.2], [0.0, 0.0])
