"""What a training loop shows of the machine it runs on: memory, and on a GPU whose peak is known how much of it is used.

Looked at every few steps, from counters that are kept anyway: it costs some tens of microseconds and changes no result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from cluster.peaks import peak_flops
from cluster.sizes import Sizes
from w2s.learner import Learner
from w2s.sizes import sizes_of
from w2s.work.ranks import Ranks

GIB = 2**30


class Gauges:
    """Memory of this rank and the utilization of all, by the names they have in TensorBoard.

    `sizes` None: no utilization, for nobody knows the model's FLOPs, or the device has no known peak.
    """

    def __init__(self, learner: Learner, ranks: Ranks, sizes: Sizes | None = None) -> None:
        self._process, self._cuda = psutil.Process(), ranks.device == "cuda"
        self._sizes = sizes
        name = torch.cuda.get_device_name() if self._cuda else ""
        peak = peak_flops(name, learner.precision)
        self._peak = None if peak is None or sizes is None else peak * ranks.count
        self._seconds = self._flops = 0.0

    @contextmanager
    def step(self, tokens: int, texts: int) -> Iterator[None]:
        """Around an optimizer step of all ranks over so many real tokens (no padding) in so many texts."""
        began = time.monotonic()
        yield
        if self._peak is not None and self._sizes is not None:
            self._seconds += time.monotonic() - began
            # attention by the mean length of the step's texts, which is never more than it takes
            self._flops += tokens * self._sizes.train_flops(tokens // max(texts, 1))

    def read(self) -> dict[str, float]:
        """Name -> value, of the steps since the last time: GiB, and a share of the peak."""
        found = {"machine/memory_gib": self._process.memory_info().rss / GIB}
        if self._cuda:
            found["machine/cuda_peak_gib"] = torch.cuda.max_memory_allocated() / GIB
        if self._peak is not None and self._seconds > 0:
            found["train/mfu"] = self._flops / self._seconds / self._peak
            self._seconds = self._flops = 0.0
        return found


def sizes_to_gauge(learner: Learner, ranks: Ranks) -> Sizes | None:
    """The sizes behind `train/mfu`, for the first rank of those that have a GPU of known peak; else None."""
    if not ranks.first or ranks.device != "cuda" or peak_flops(torch.cuda.get_device_name(), learner.precision) is None:
        return None
    return sizes_of([learner])[learner]
