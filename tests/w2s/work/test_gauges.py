"""What training shows of its machine: memory always, utilization only where a peak is known, and then by the model's FLOPs."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.conftest import toy_recipe
from w2s.recipe import Recipe
from w2s.work import gauges
from w2s.work.gauges import Gauges, sizes_to_gauge
from w2s.work.ranks import Ranks


@pytest.fixture(scope="module")
def learner() -> Any:
    return Recipe.model_validate(toy_recipe()).strong


class Sizes:
    """Ten FLOPs a token, and one more for each token of its text."""

    def train_flops(self, tokens: int) -> float:
        return 10.0 + tokens


def test_a_cpu_has_memory_and_no_utilization(learner: Any) -> None:
    found = Gauges(learner, Ranks())
    with found.step(100, 10):
        pass
    told = found.read()
    assert set(told) == {"machine/memory_gib"}
    assert told["machine/memory_gib"] == pytest.approx(psutil.Process().memory_info().rss / 2**30, rel=0.1)
    assert sizes_to_gauge(learner, Ranks()) is None


def test_utilization_is_model_flops_over_time_and_the_peak_of_all_devices(
    learner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 2.0, 10.0, 12.0, 20.0, 21.0])
    cuda = SimpleNamespace(get_device_name=lambda: "NVIDIA H200", max_memory_allocated=lambda: 3 * 2**30)
    monkeypatch.setattr(gauges.torch, "cuda", cuda)
    monkeypatch.setattr(gauges, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(gauges, "peak_flops", lambda name, precision: 50.0 if name == "NVIDIA H200" else None)
    found = Gauges(learner, Ranks(0, 2, "cuda"), Sizes())  # type: ignore[arg-type]
    for tokens, texts in ((100, 10), (60, 3)):
        with found.step(tokens, texts):
            pass
    told = found.read()
    assert told["machine/cuda_peak_gib"] == 3.0
    assert told["train/mfu"] == pytest.approx((100 * (10 + 10) + 60 * (10 + 20)) / 4.0 / (2 * 50.0))
    with found.step(10, 1):  # each reading is of the steps since the one before
        pass
    assert found.read()["train/mfu"] == pytest.approx(10 * 20 / 1.0 / 100.0)
    assert "train/mfu" not in found.read()
    assert "train/mfu" not in Gauges(learner, Ranks(0, 2, "cuda")).read(), "nobody knows the model's FLOPs"


def test_a_look_costs_next_to_nothing(learner: Any) -> None:
    found = Gauges(learner, Ranks())
    began = time.process_time()
    for _ in range(200):
        with found.step(100, 10):
            pass
        found.read()
    assert (time.process_time() - began) / 200 < 2e-3, "30 microseconds where it was measured, once in ten steps"
