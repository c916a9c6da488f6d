"""Every row once an epoch, in an order that only seed, epoch and lengths decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s.work.batches import by_length, deal, epoch_batches, schedule

lengths_lists = st.lists(st.integers(1, 80), min_size=1, max_size=120)


@given(lengths_lists, st.integers(1, 40), st.booleans(), st.integers(0, 5))
def test_every_row_once_and_no_batch_too_large(lengths: list[int], batch: int, bucket: bool, seed: int) -> None:
    batches = epoch_batches(lengths, seed, 0, batch=batch, batch_tokens=None, bucket=bucket)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(1 <= len(rows) <= batch for rows in batches)
    assert sum(len(rows) < batch for rows in batches) <= 1


@given(lengths_lists, st.integers(1, 400), st.booleans())
def test_a_token_budget_is_kept(lengths: list[int], budget: int, bucket: bool) -> None:
    batches = epoch_batches(lengths, 0, 0, batch=1, batch_tokens=budget, bucket=bucket)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= budget


def test_epochs_and_seeds_differ_and_repeat() -> None:
    lengths = list(range(1, 200))

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(lengths, seed, epoch, batch=8, batch_tokens=None, bucket=True)).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize("batches", [8, 128], ids=["small data", "many windows"])
def test_every_epoch_of_a_run_has_an_order_and_batches_of_its_own(bucket: bool, batches: int) -> None:
    """Items must meet anew in each epoch; the released code shuffles them once and repeats that order."""
    rows = 8 * batches  # no two of one length: within a window, sorting undoes any shuffling
    steps, ends = schedule(list(range(1, rows + 1)), 0, 3, batch=8, batch_tokens=None, bucket=bucket)
    epochs = [steps[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert all(sorted(np.concatenate(epoch).tolist()) == list(range(rows)) for epoch in epochs)
    company = [{frozenset(batch.tolist()) for batch in epoch} for epoch in epochs]
    assert not company[0] & company[1]
    assert not company[1] & company[2]


def test_buckets_pad_less() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=512).tolist()

    def padding(bucket: bool) -> int:
        batches = epoch_batches(lengths, 0, 0, batch=16, batch_tokens=None, bucket=bucket)
        return sum(len(rows) * max(lengths[i] for i in rows) for rows in batches) - sum(lengths)

    assert padding(True) < 0.25 * padding(False)


def test_a_fraction_of_an_epoch_is_a_share_of_its_batches() -> None:
    steps, ends = schedule([5] * 100, 0, 1.5, batch=10, batch_tokens=None, bucket=False)
    assert (len(steps), ends) == (15, [10, 15])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 40), st.integers(1, 5))
def test_every_row_of_a_step_is_dealt_once(lengths: list[int], micro: int, ranks: int) -> None:
    rows = np.arange(len(lengths))
    hands = deal(rows, lengths, micro, ranks)
    assert len(hands) == ranks
    assert len({len(hand) for hand in hands}) == 1, "every rank takes equally many steps"
    pieces = [piece for hand in hands for piece in hand]
    real = np.concatenate([piece.rows[piece.weight_B > 0] for piece in pieces])
    assert sorted(real.tolist()) == rows.tolist()
    assert all(1 <= len(piece.rows) <= micro for piece in pieces)
    sizes = [len(piece.rows) for piece in pieces]
    assert max(sizes) - min(sizes) <= 1
    padding = sum(piece.padding for piece in pieces)
    assert padding == sum((piece.weight_B == 0).sum() for piece in pieces)
    assert padding == 0 or (padding < ranks and max(sizes) == 1), (
        "rows are repeated only where there are too few for all"
    )


@given(lengths_lists, st.integers(1, 300))
def test_prediction_covers_every_row_within_its_budget(lengths: list[int], budget: int) -> None:
    batches = list(by_length(lengths, budget))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= budget for rows in batches)


@pytest.mark.parametrize(("epochs", "steps"), [(0.1, 1), (0.3, 3), (1.1, 11), (2.2, 22), (2.7, 27), (1.05, 11)])
def test_fractions_of_epochs_do_not_round_up_on_float_noise(epochs: float, steps: int) -> None:
    assert len(schedule([5] * 100, 0, epochs, batch=10, batch_tokens=None, bucket=False)[0]) == steps
