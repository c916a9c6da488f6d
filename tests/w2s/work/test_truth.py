"""The truth of some rows more than of others: draws against their formulas, weights against counting, pieces put together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s.labels import LabelTable
from w2s.recipe import Recipe
from w2s.stages import Combine, Joined, Piece, Sample, Truth, knows_truth
from w2s.work import table

GROUPS = [f"group {i}" for i in range(500)]


@given(st.integers(0, 10**6), st.integers(1, 60), st.floats(0.05, 1.0), st.booleans())
def test_draws_add_up_to_the_share(seed: int, count: int, share: float, replace: bool) -> None:
    counts = Sample(seed, share, replace).counts(GROUPS[:count])
    assert sum(counts.values()) == max(1, round(share * count))
    assert set(counts) == set(GROUPS[:count])
    assert replace or max(counts.values()) == 1, "no group twice without replacement"


@given(st.permutations(GROUPS[:30]), st.booleans())
def test_no_order_decides_a_draw(order: list[str], replace: bool) -> None:
    assert Sample(3, 0.5, replace).counts(order) == Sample(3, 0.5, replace).counts(GROUPS[:30])


def test_a_bootstrap_leaves_out_one_in_e() -> None:
    out = [sum(n == 0 for n in Sample(seed).counts(GROUPS).values()) / len(GROUPS) for seed in range(40)]
    assert np.mean(out) == pytest.approx(1 / np.e, abs=0.01)


def test_every_group_is_drawn_as_often_as_any_other() -> None:
    """Over many samples: Poisson of mean 1, whichever group it is."""
    total: Counter[str] = Counter()
    for seed in range(400):
        total.update(Sample(seed).counts(GROUPS[:20]))
    drawn = np.array([total[group] for group in GROUPS[:20]])
    assert drawn.sum() == 400 * 20
    assert abs(drawn - 400).max() < 5 * 20, "five standard deviations"


def test_a_larger_subset_holds_the_smaller() -> None:
    small, large = (Sample(1, share, replace=False).counts(GROUPS) for share in (0.3, 0.6))
    assert all(large[group] for group, n in small.items() if n)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share is above 0"):
        Sample(0, share)


# --- the stages ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    found = Bench(Recipe.model_validate(toy_recipe()), tmp_path_factory.mktemp("truth"))
    found.run(found.recipe.world(0).part("weak").rows)
    return found


def told(bench: Bench, stage: Truth) -> tuple[LabelTable, table.RowTable, list[str]]:
    bench.run(stage)
    whole = table.read_all(bench.out(stage.rows.rows))
    places = whole.places(stage.rows.json(by_content=False), "")
    rows = whole.take(places)
    return LabelTable.load(bench.out(stage)).join(rows.ids, ""), rows, [whole.groups[i] for i in places]


def test_a_sample_weighs_rows_as_often_as_their_group_was_drawn(bench: Bench) -> None:
    sample = Sample(5)
    found, rows, groups = told(bench, Truth(bench.recipe.world(0).part("weak"), sample))
    counts = sample.counts(sorted(set(groups)))
    assert found.weight_N.tolist() == [counts[group] for group in groups]
    np.testing.assert_array_equal(found.probs_NC, np.eye(2)[list(rows.labels)])


def test_classes_and_a_piece_left_out(bench: Bench) -> None:
    part, piece = bench.recipe.world(0).part("weak"), Piece(1, 3)
    found, rows, groups = told(bench, Truth(part, only=(1,), left_out=piece))
    wanted = [label == 1 and not piece.holds(0, group) for label, group in zip(rows.labels, groups, strict=True)]
    assert found.weight_N.tolist() == wanted
    assert 0 < sum(wanted) < len(wanted)


def test_pieces_left_out_are_the_pieces_themselves(bench: Bench) -> None:
    """Every row is left out once: whoever judges it has not learned it."""
    part = bench.recipe.world(0).part("weak")
    left = sum(told(bench, Truth(part, left_out=Piece(i, 3)))[0].weight_N for i in range(3))
    assert (left == 2).all()


def test_weights_of_labels_multiply(bench: Bench) -> None:
    part = bench.recipe.world(0).part("weak")
    first, second = Truth(part, Sample(1)), Truth(part, Sample(2))
    bench.run(first)
    both, alone = told(bench, Truth(part, Sample(2), weights=first))[0], told(bench, second)[0]
    np.testing.assert_array_equal(both.weight_N, alone.weight_N * LabelTable.load(bench.out(first)).weight_N)
    column = told(bench, Truth(part, weights=first, column=1))[0]
    np.testing.assert_array_equal(column.weight_N, column.probs_NC[:, 1])


def test_of_nothing_no_truth_is_left(bench: Bench) -> None:
    with pytest.raises(BadInput, match=r"none of .* rows is left"):
        bench.run(Truth(bench.recipe.world(0).part("weak"), only=()))


def test_elsewhere_all_rows_count() -> None:
    world = Recipe.model_validate(toy_recipe()).world(0)
    part, val = world.part("weak"), world.part("val")
    sampled = Truth(part, Sample(0), (0, 1), Piece(0, 2), weights=Truth(part))
    assert sampled.on(val) == Truth(val, only=(0, 1))
    assert sampled.on(part) is sampled
    assert knows_truth(sampled)
    assert knows_truth(None)
    assert not knows_truth(Combine((sampled,)))


def test_joined_rows_are_labelled_by_those_who_did_not_learn_them(bench: Bench) -> None:
    world = bench.recipe.world(0)
    part = world.part("weak")
    labels = [Truth(world.part("weak", Piece(i, 2)), Sample(7)) for i in range(2)]
    joined = Joined(tuple(labels), part)
    bench.prepare(joined)
    bench.run(joined)
    whole = table.read_all(bench.out(part.rows))
    wanted = whole.take(whole.places(part.json(by_content=False), "")).ids
    found = LabelTable.load(bench.out(joined))
    assert found.ids == wanted
    for label in labels:
        own = LabelTable.load(bench.out(label))
        np.testing.assert_array_equal(found.join(own.ids, "").probs_NC, own.probs_NC)
    elsewhere = joined.on(world.part("test"))
    assert isinstance(elsewhere, Combine)
    assert [one.rows.name for one in elsewhere.labels if isinstance(one, Truth)] == ["test", "test"]
    assert joined.on(part) is joined


def test_keys_of_what_came_before_weights_are_what_they_were() -> None:
    part = Recipe.model_validate(toy_recipe()).world(0).part("weak")
    assert set(Truth(part).science()) == {"kind", "version", "rows", "sample", "only", "left_out"}
