"""Labels weighted by how often members give the same answer: against plain counting."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import toy_recipe
from tests.w2s.methods.planning import planned, student, world
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable, softmax
from w2s.recipe import Recipe
from w2s.stages import Combine, Reliable
from w2s.work.reliable import frequencies, steady, trust


def answers(*rows: tuple[int, ...], classes: int = 2) -> np.ndarray:
    """Each row's answers, member by member -> probabilities [M, N, C] that choose them."""
    return 0.9 * np.eye(classes)[np.array(rows).T] + 0.1 / classes


def test_frequencies_count_answers_and_not_probabilities() -> None:
    np.testing.assert_allclose(
        frequencies(answers((0, 0, 1, 1), (1, 1, 1, 1), (0, 1, 1, 1))), [[0.5, 0.5], [0, 1], [0.25, 0.75]]
    )


def test_the_half_of_least_entropy_and_all_that_tie() -> None:
    share = frequencies(answers((0, 0, 0, 0), (0, 0, 0, 1), (1, 0, 1, 0), (1, 0, 0, 0), (0, 0, 1, 1)))
    assert steady(share, 0.2).tolist() == [True, False, False, False, False]
    assert steady(share, 0.4).tolist() == [True, True, False, True, False], "both of one against three"
    assert steady(share, 0.6).tolist() == [True, True, False, True, False]
    assert steady(share, 1.0).all()


def test_where_most_agree_wholly_more_than_half_are_left() -> None:
    share = frequencies(answers(*[(0, 0)] * 7, *[(0, 1)] * 3))
    assert steady(share, 0.5).sum() == 7


def test_trust_by_the_formula() -> None:
    """Three classes, five members; the verdict's class is the second."""
    share = frequencies(answers((1, 1, 1, 0, 2), (1, 1, 1, 1, 1), classes=3))
    probs = np.array([[0.2, 0.6, 0.2], [0.0, 1.0, 0.0]])
    raw = [softmax(np.array(f) / 0.2)[1] for f in ([0.2, 0.6, 0.2], [0.0, 1.0, 0.0])]
    np.testing.assert_allclose(trust(share, probs, 0.2), np.array(raw) / np.mean(raw))
    assert raw[1] == pytest.approx(math.exp(5) / (math.exp(5) + 2))


def test_a_verdict_that_most_members_are_against_counts_little() -> None:
    """The mean may choose what the surer minority says."""
    share = frequencies(answers((0, 0, 0, 1, 1), (0, 0, 0, 0, 0)))
    weight = trust(share, np.array([[0.4, 0.6], [0.9, 0.1]]), 0.2)
    assert weight[0] < weight[1] / 3


def test_through_the_stages(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(toy_recipe())
    labels = student(planned("reliability", world(), members=3)).labels
    assert isinstance(labels, Reliable)
    bench = Bench(recipe, tmp_path)
    bench.prepare(labels)
    metrics, _ = bench.run(labels)
    found, verdict = LabelTable.load(bench.out(labels)), LabelTable.load(bench.out(labels.labels))
    np.testing.assert_array_equal(found.probs_NC, verdict.join(found.ids, "").probs_NC)
    members = [LabelTable.load(bench.out(one)).join(found.ids, "").probs_NC for one in labels.members]
    choice = np.stack(members).argmax(-1)
    alike = (choice == choice[0]).all(axis=0)
    assert metrics["unanimous"] == alike.mean()
    assert metrics["kept"] >= math.ceil(len(alike) / 2)
    assert (found.weight_N[alike] == 1).all()
    assert isinstance(labels.on(world().part("test")), Combine), "elsewhere nothing is weighed"
