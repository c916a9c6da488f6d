"""How long a run will still take, from made-up pasts."""

from __future__ import annotations

import time

import pytest

from cluster.eta import eta_s
from cluster.events import Event
from cluster.tally import Tally


def tally(total: int, **seconds: float) -> Tally:
    """A run of `total` stages, of which some are done."""
    found = Tally({})
    found.count(Event("planned", data={"total": total, "cached": 0}))
    for key, spent in seconds.items():
        start(found, key, 0.0)
        found.count(Event("done", key, {"seconds": spent, "metrics": {}}))
    found.first_start = time.monotonic() - sum(seconds.values()) if seconds else None
    return found


def start(found: Tally, key: str, ago_s: float) -> None:
    found.count(Event("started", key, {"device": "cpu", "host": "h"}))
    found.running[key].since -= ago_s


def progress(found: Tally, key: str, done: float) -> None:
    found.count(Event("progress", key, {"done": done, "total": 100, "unit": "step"}))


def now(found: Tally) -> float:
    return max([time.monotonic(), *(stage.since for stage in found.running.values())])


def test_nothing_known_is_told_as_such() -> None:
    assert eta_s(Tally({}), {}, 0.0) is None
    assert eta_s(tally(2), {}, 0.0) is None


def test_expectations_are_corrected_by_what_was_seen() -> None:
    """The first stage took twice as long as was thought, so the others will."""
    assert eta_s(tally(3, a=20.0), {"a": 10.0, "b": 5.0, "c": 7.0}, 0.0) == pytest.approx(24.0)


def test_stages_of_which_nothing_is_known_take_as_long_as_others_did() -> None:
    assert eta_s(tally(4, a=2.0, b=4.0), {}, 0.0) == pytest.approx(6.0)


def test_a_running_stage_goes_by_its_own_pace_of_this_attempt() -> None:
    found = tally(1)
    start(found, "a", 30.0)
    progress(found, "a", 40)  # where the last attempt had left it
    progress(found, "a", 70)
    assert eta_s(found, {"a": 1.0}, now(found)) == pytest.approx(30.0, rel=0.01)


def test_what_runs_side_by_side_is_divided_but_no_stage_is_cut() -> None:
    found = tally(4, a=10.0)
    for key in ("b", "c"):
        start(found, key, 0.0)
    assert eta_s(found, {"b": 10.0, "c": 10.0, "d": 10.0}, now(found)) == pytest.approx(15.0, rel=0.01)
    long = tally(3, a=10.0)
    for key, seconds in (("b", 0.0), ("c", 0.0)):
        start(long, key, seconds)
    assert eta_s(long, {"b": 100.0, "c": 1.0}, now(long)) == pytest.approx(100.0, rel=0.01)


def test_what_is_dropped_or_there_counts_no_more() -> None:
    found = tally(3, a=10.0)
    found.count(Event("dropped", "b", {"total": 2}))
    found.count(Event("cached", "c"))
    assert found.waiting == 0
    assert eta_s(found, {"b": 10.0, "c": 10.0}, 0.0) == 0.0


def test_the_furthest_point_of_a_stage_outlives_its_attempts() -> None:
    found = tally(1)
    start(found, "a", 0.0)
    progress(found, "a", 50)
    found.count(Event("retry", "a"))
    start(found, "a", 0.0)
    progress(found, "a", 20)
    assert found.furthest == {"a": 0.5}
    found.count(Event("done", "a", {"seconds": 1.0, "metrics": {}}))
    assert found.furthest == {}
