"""What a search has spent: seconds times devices, of everything that runs for it; what is done together shares its time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cluster.events import Event
from cluster.job import Resources
from tests.cluster.targets import gang, job
from w2s.search import meter as metering
from w2s.search.config import Budget
from w2s.search.meter import Meter, devices


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(metering, "time", found)
    return found


def on(what: Any, **resources: Any) -> Any:
    return dataclasses.replace(what, resources=Resources(**resources))


def test_devices_are_gpus_and_where_there_is_none_cpus() -> None:
    assert devices(on(job("a"), cpus=4, gpus=0.5)) == 0.5
    assert devices(on(job("a"), cpus=2)) == 2
    assert devices(gang("a", 3, cpus=2)) == 6


@pytest.mark.parametrize("end", ["done", "failed", "stopped", "dropped", "retry", "elsewhere"])
def test_seconds_count_from_start_to_any_end(clock: Clock, end: Any) -> None:
    meter, jobs = Meter(Budget()), {"a": on(job("a"), cpus=1, gpus=2)}
    meter.hear(Event("started", "a"), jobs)
    clock.now += 1800
    assert meter.device_hours == pytest.approx(1.0)
    meter.hear(Event(end, "a"), jobs)
    clock.now += 1800
    assert meter.device_hours == pytest.approx(1.0)


def test_a_pack_is_one_worker_at_work(clock: Clock) -> None:
    meter, jobs = Meter(Budget()), {name: job(name, pack="probes") for name in "abcd"}
    for name in jobs:
        meter.hear(Event("started", name), jobs)
    clock.now += 3600
    assert meter.device_hours == pytest.approx(1.0), "four heads, one core"
    for name in jobs:
        meter.hear(Event("done", name, {"seconds": 900.0}), jobs)
    assert meter.device_hours == pytest.approx(1.0)


def test_a_budget_says_what_is_used_up(clock: Clock) -> None:
    meter = Meter(Budget(minutes=2, device_hours=0.5))
    assert meter.spent() == ""
    clock.now += 121
    assert meter.spent() == "the budget of 2 minutes is used up"
    meter = Meter(Budget(device_hours=0.5))
    meter.hear(Event("started", "a"), {"a": on(job("a"), cpus=4)})
    clock.now += 451
    assert meter.spent() == "the budget of 0.5 device-hours is used up"
