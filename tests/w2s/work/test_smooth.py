"""Labels spread over a graph: the fixed point in closed form, what stays as it is, and what no row's place decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cluster.errors import BadInput
from tests.w2s.work.planted import House, recipe, turned, write
from w2s.stages import Smooth
from w2s.work.smooth import spread, unit, walk_matrix


def graph(seed: int = 0, count: int = 60, neighbours: int = 5, shift: float = 0.5) -> np.ndarray:
    return walk(np.random.default_rng(seed).normal(size=(count, 4)) + shift, neighbours)


def walk(vectors: np.ndarray, neighbours: int) -> np.ndarray:
    found: np.ndarray = walk_matrix(unit(vectors, standardise=False), neighbours, "here").toarray()
    return found


def labels(seed: int, count: int = 60, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=count)


def smooth(walk_NN: np.ndarray, start_NC: np.ndarray, alpha: float, steps: int = 20) -> np.ndarray:
    from scipy import sparse

    return spread(sparse.csr_array(walk_NN), start_NC, alpha, steps)[0]


def test_the_graph_is_what_a_loop_builds() -> None:
    vectors = np.random.default_rng(3).normal(size=(40, 3))
    points = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = points @ points.T
    edges = np.zeros((40, 40))
    for i in range(40):
        nearest = sorted((j for j in range(40) if j != i), key=lambda j: -cosine[i, j])[:6]
        for j in nearest:
            edges[i, j] = max(edges[i, j], max(0.0, cosine[i, j]))
            edges[j, i] = max(edges[j, i], max(0.0, cosine[i, j]))
    np.testing.assert_allclose(walk(vectors, 6), edges / edges.sum(axis=1, keepdims=True), atol=1e-12)
    assert not walk(vectors, 6).diagonal().any(), "nobody is its own neighbour"


def test_an_alpha_of_0_changes_nothing_to_the_bit() -> None:
    start = labels(1)
    np.testing.assert_array_equal(smooth(graph(), start, 0.0), start)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.9])
def test_it_ends_where_the_closed_form_says(alpha: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("w2s.work.smooth.ENOUGH", 0.0)
    walk_NN, start = graph(), labels(2)
    expected = (1 - alpha) * np.linalg.solve(np.eye(60) - alpha * walk_NN, start)
    np.testing.assert_allclose(smooth(walk_NN, start, alpha, steps=600), expected, atol=1e-12)


def test_it_ends_early_within_what_the_last_move_allows() -> None:
    from scipy import sparse

    walk_NN, start = graph(), labels(2)
    found, steps, moved = spread(sparse.csr_array(walk_NN), start, 0.5, 500)
    assert steps < 20
    assert moved < 1e-4
    expected = 0.5 * np.linalg.solve(np.eye(60) - 0.5 * walk_NN, start)
    assert abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_constants_stay_and_nothing_leaves_the_range(seed: int) -> None:
    walk_NN, start = graph(seed), labels(seed)
    constant = np.tile([0.2, 0.3, 0.5], (60, 1))
    np.testing.assert_allclose(smooth(walk_NN, constant, 0.9), constant, atol=1e-12)
    found = smooth(walk_NN, start, 0.9)
    assert (found.min(axis=0) >= start.min(axis=0) - 1e-12).all()
    assert (found.max(axis=0) <= start.max(axis=0) + 1e-12).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_the_symmetric_graph_would_keep_no_constant() -> None:
    """Why P and not D^-1/2 A D^-1/2: its labels of one and the same class everywhere are not that any more."""
    vectors = unit(np.random.default_rng(0).normal(size=(60, 4)), standardise=False)
    walk_NN = walk(vectors, 5)
    value, left = np.linalg.eig(walk_NN.T)
    degree = np.abs(left[:, np.argmin(abs(value - 1))].real)
    symmetric = np.sqrt(degree)[:, None] * walk_NN / np.sqrt(degree)[None, :]
    np.testing.assert_allclose(symmetric, symmetric.T, atol=1e-9)
    constant = np.full((60, 1), 0.7)
    assert abs(smooth(symmetric, constant, 0.9) - constant).max() > 0.01
    np.testing.assert_allclose(smooth(walk_NN, constant, 0.9), constant, atol=1e-12)


def test_rows_without_an_edge_keep_their_labels() -> None:
    """One looks the other way from all, one is no direction at all."""
    vectors = np.array([[1.0, 0.1], [1.0, 0.2], [1.0, -0.1], [-1.0, 0.0], [0.0, 0.0]])
    start = labels(0, 5, 2)
    found = smooth(walk(vectors, 2), start, 0.5)
    np.testing.assert_allclose(found[3:], start[3:], atol=1e-15)
    assert (found[:3] != start[:3]).all()


def test_rows_that_look_away_from_each_other_have_no_edge() -> None:
    """Each is among the other's nearest, for there are no others."""
    found = walk(np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]]), 2)
    np.testing.assert_allclose(found, [[0, 1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_what_is_clamped_stands_and_draws_the_others() -> None:
    from scipy import sparse

    walk_NN, start = sparse.csr_array(graph(shift=2.0)), np.tile([0.5, 0.5], (60, 1))
    clamped = np.arange(60) < 20
    start[clamped] = [0.0, 1.0]
    held, _, _ = spread(walk_NN, start, 0.9, 50, clamped)
    loose, _, _ = spread(walk_NN, start, 0.9, 50)
    np.testing.assert_array_equal(held[clamped], start[clamped])
    assert held[~clamped, 1].mean() > loose[~clamped, 1].mean() > 0.5


def test_a_row_alone_has_no_graph() -> None:
    with pytest.raises(BadInput, match="no row has a neighbour"):
        walk_matrix(np.ones((1, 2)), 3, "here")


def test_standardised_features_all_count_alike() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 3)) + 7.0
    stretched = vectors * [1.0, 1000.0, 0.01] - 5.0
    np.testing.assert_allclose(unit(vectors, standardise=True), unit(stretched, standardise=True), atol=1e-9)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    root = tmp_path_factory.mktemp("smooth")
    return House(recipe(write(root)), root)


def test_the_stage_smooths_the_rows_to_learn_from_and_no_others(house: House) -> None:
    stage = house.targets(gate="off")
    assert isinstance(stage, Smooth)
    told, ids = house.told(stage), house.rows("strong").ids
    found, weak = house.labels(stage).join(ids, "here"), house.labels(stage.labels).join(ids, "here")
    assert (found.probs_NC != weak.probs_NC).any()
    truth = np.array(house.rows("strong").labels)
    assert told["accuracy"] == (found.probs_NC.argmax(axis=1) == truth).mean()
    assert told["accuracy_before"] == (weak.probs_NC.argmax(axis=1) == truth).mean()
    assert told["changed"] == (found.probs_NC.argmax(axis=1) != weak.probs_NC.argmax(axis=1)).mean() > 0
    for part in ("val", "test"):
        assert stage.on(house.world.part(part)).key == stage.labels.on(house.world.part(part)).key  # type: ignore[arg-type]
    assert stage.on(house.world.part("strong")) is stage


def test_no_rows_place_in_a_file_decides(house: House, tmp_path: Path) -> None:
    """The table upside down, vectors and all: every row's label to the bit."""
    other = turned(house, tmp_path)
    before, after = (there.labels(there.targets(gate="off")) for there in (house, other))
    assert before.ids == after.ids
    np.testing.assert_array_equal(after.probs_NC, before.probs_NC)
