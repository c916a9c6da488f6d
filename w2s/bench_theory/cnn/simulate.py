"""One simulation: a weak model learns the truth, labels fresh items, and a strong model learns these labels; measured on the way."""

# N items, M of the first noise patches, R filters

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from w2s.bench_theory.cnn import strong, weak
from w2s.bench_theory.cnn.config import Point
from w2s.bench_theory.cnn.curve import Curve, Record
from w2s.bench_theory.cnn.data import HARD, TYPES, Items, draw, draw_each
from w2s.bench_theory.cnn.strong import Filters


def simulate(point: Point, seed: int, heard: Callable[[int], None] = lambda step: None) -> Curve:
    """Run one point. The same seed draws the same weak data, whatever n_st is. `heard` is called at every step."""
    weak_items, strong_items, test_items, start = (np.random.default_rng([seed, part]) for part in range(4))
    supervisor = weak.train(draw(point, point.n_weak, weak_items), point)
    items, test = draw(point, point.n_strong, strong_items), draw_each(point, point.n_test, test_items)
    labels_N = signs(supervisor.outputs(items))
    measure = _Measure(point, items, labels_N, test)
    filters = strong.begin(point, start)
    records: list[Record] = []
    asked = set(recorded(point.steps, point.records))
    for step in range(point.steps + 1):
        heard(step)
        found = strong.slope(filters, items, labels_N)
        if step in asked:
            records.append({"step": step, "loss": found.loss, **measure(filters, found.outputs_N)})
        filters = filters.minus(found.gradient, point.lr)
    return Curve(measure.of_weak(supervisor.outputs(test)), records)


def recorded(steps: int, most: int) -> list[int]:
    """Step 0, the last one, and some between, ever farther apart."""
    spaced = np.rint(np.geomspace(steps, 1, most - 1)).astype(int)  # from the end: of one step alone, it is the last
    return [0, *sorted(set(spaced.tolist()))]


def signs(f_N: Tensor) -> Tensor:
    """Labels +1 and -1; 0 counts as +1."""
    return torch.where(f_N >= 0, 1.0, -1.0)


@dataclass(frozen=True)
class _Measure:
    """What is measured at a step. Items whose weak label is wrong are called flipped."""

    point: Point
    items: Items
    labels_N: Tensor
    test: Items

    def __call__(self, filters: Filters, outputs_N: Tensor) -> Record:
        said_N, flipped_N = signs(outputs_N), self.labels_N != self.items.truth_N
        return {
            "train_labels": _share(said_N == self.labels_N),
            "train_truth": _share(said_N == self.items.truth_N),
            "flipped_as_truth": _share((said_N == self.items.truth_N)[flipped_N]),
            "kept_as_labelled": _share((said_N == self.labels_N)[~flipped_N]),
            **self._test(filters.outputs(self.test)),
            **dict(_alignments(filters, self.point)),
            **self._memory(filters, flipped_N),
        }

    def of_weak(self, outputs_N: Tensor) -> Record:
        flipped_N = self.labels_N != self.items.truth_N
        return {
            "flipped": _share(flipped_N),
            "flipped_hard_only": _share((self.items.type_N == HARD)[flipped_N]),
            **self._test(outputs_N),
        }

    def _test(self, outputs_N: Tensor) -> Record:
        """Accuracy by type, and over the types' shares."""
        right_N = signs(outputs_N) == self.test.truth_N
        by_type = [float(right_N[self.test.type_N == place].float().mean()) for place in range(3)]
        shares = (self.point.p_easy, self.point.p_hard, self.point.p_both)
        test = sum(share * right for share, right in zip(shares, by_type, strict=True))
        return {"test": test, **{f"test_{name}": right for name, right in zip(TYPES, by_type, strict=True)}}

    def _memory(self, filters: Filters, flipped_N: Tensor) -> Record:
        """How far the filters of an item's label reach into its own noise: the best of them, in the mean over items."""
        noise_NR = self.items.noise_PD[: len(self.items)] @ filters.noise_RD.T
        half = noise_NR.shape[1] // 2
        own_N = torch.where(self.labels_N > 0, noise_NR[:, :half].amax(1), noise_NR[:, half:].amax(1))
        return {
            "noise_max": float(noise_NR.max()),
            "noise_kept": _mean(own_N[~flipped_N]),
            "noise_flipped": _mean(own_N[flipped_N]),
        }


def _alignments(filters: Filters, point: Point) -> Iterator[tuple[str, float]]:
    """The best filter's product with its class's signal patch, mean over both classes: what a ReLU gets from that patch."""
    half = len(filters.signal_R4) // 2
    plus_M4, minus_M4 = filters.signal_R4[:half], filters.signal_R4[half:]
    patches = (("easy", 0, point.easy_norm), ("hard", 2, point.hard_norm), ("hard_turned", 2, -point.hard_norm))
    for name, place, length in patches:
        best = (length * plus_M4[:, place]).max() + (length * minus_M4[:, place + 1]).max()
        yield f"align_{name}", float(best) / 2


def _share(flags_N: Tensor) -> float | None:
    return _mean(flags_N.float())


def _mean(values_N: Tensor) -> float | None:
    return float(values_N.mean()) if len(values_N) else None
