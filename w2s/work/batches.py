"""Which rows meet in which step. Depends on lengths, seed and epoch alone: never on devices or micro-batches."""

# N rows, B rows of one step

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
WINDOW = 16  # batches sorted by length together: enough for little padding, few enough to keep batches varied
WINDOWS = 4  # at least so many an epoch, or in small data rows of one length would meet in every epoch


def epoch_batches(
    lengths: Sequence[int], seed: int, epoch: int, *, batch: int, batch_tokens: int | None, bucket: bool
) -> list[Indices]:
    """One epoch's batches of row indices, in order; each row exactly once, the last batch of a window may be short.

    Rows are shuffled; with `bucket`, windows of shuffled rows are sorted by length before they are cut, and the cut batches
    are shuffled again. `batch_tokens` cuts where rows x longest would pass the budget (a longer row stands alone).
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    length_N = np.asarray(lengths, dtype=np.int64)
    if not bucket:
        return _cut(order, length_N, batch, batch_tokens)
    # the budget in rows, if every row were of median length
    rows = batch if batch_tokens is None else max(1, batch_tokens // max(1, int(np.median(length_N))))
    size = rows * max(1, min(WINDOW, len(order) // (rows * WINDOWS)))
    batches: list[Indices] = []
    for start in range(0, len(order), size):
        window = order[start : start + size]
        window = window[np.argsort(length_N[window], kind="stable")]
        batches += _cut(window, length_N, batch, batch_tokens)
    return [batches[i] for i in generator.permutation(len(batches))]


def _cut(order: Indices, length_N: Indices, batch: int, batch_tokens: int | None) -> list[Indices]:
    if batch_tokens is None:
        return [order[i : i + batch] for i in range(0, len(order), batch)]
    batches: list[Indices] = []
    start, longest = 0, 0
    for i, row in enumerate(order):
        longest = max(longest, int(length_N[row]))
        if i > start and longest * (i - start + 1) > batch_tokens:
            batches.append(order[start:i])
            start, longest = i, int(length_N[row])
    return [*batches, order[start:]] if len(order) else []


def schedule(
    lengths: Sequence[int], seed: int, epochs: float, *, batch: int, batch_tokens: int | None, bucket: bool
) -> tuple[list[Indices], list[int]]:
    """All steps of a run, and the step counts at which epochs end. A fraction of an epoch is a share of its batches."""
    steps: list[Indices] = []
    ends: list[int] = []
    for epoch in range(math.ceil(epochs)):
        batches = epoch_batches(lengths, seed, epoch, batch=batch, batch_tokens=batch_tokens, bucket=bucket)
        share = min(1.0, epochs - epoch)  # 1.1 - 1 is a little more than 0.1: the ceiling must not see it
        steps += batches[: math.ceil(share * len(batches) - 1e-9)]
        ends.append(len(steps))
    return steps, ends


@dataclass(frozen=True)
class Piece:
    """A micro-batch: row indices, of which the first `padding` are repeats that only keep ranks in step (weight 0)."""

    rows: Indices
    padding: int = 0

    @property
    def weight_B(self) -> NDArray[np.float32]:
        return np.concatenate([np.zeros(self.padding), np.ones(len(self.rows) - self.padding)]).astype(np.float32)


def deal(rows: Indices, lengths: Sequence[int], micro: int, ranks: int = 1) -> list[list[Piece]]:
    """A step's rows as micro-batches of at most `micro` rows for each rank: result[rank][accumulation step].

    Every rank gets equally many pieces, never an empty one, their sizes differing by one row at most; similar lengths
    meet in a piece and in one accumulation step. Where there are fewer rows than pieces, the shortest row is repeated.
    """
    ordered = rows[np.argsort(np.asarray(lengths)[rows], kind="stable")]
    count = ranks * -(-len(ordered) // (micro * ranks))
    padding = max(0, count - len(ordered))
    padded = np.concatenate([np.repeat(ordered[:1], padding), ordered])
    pieces = [Piece(part, min(len(part), max(0, padding - i))) for i, part in _with_offsets(padded, count)]
    return [pieces[rank::ranks] for rank in range(ranks)]


def _with_offsets(rows: Indices, count: int) -> Iterator[tuple[int, Indices]]:
    start = 0
    for part in np.array_split(rows, count):
        yield start, part
        start += len(part)


def by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[Indices]:
    """All rows, longest first, cut so that rows x longest stays within `max_tokens`: for prediction."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    yield from _cut(order, np.asarray(lengths, dtype=np.int64), len(order), max_tokens)
