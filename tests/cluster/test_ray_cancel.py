"""Letting go of one running job on a real cluster: it saves, its place is free at once, its warm worker serves others."""

from __future__ import annotations

import time

import pytest

from cluster.events import Event
from cluster.ray_pool import RayPool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.chaos.processes import groups
from tests.cluster.targets import gang, graph, job

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_solos_and_gangs_leave_and_others_take_their_place(ray_cluster: None, store_url: str) -> None:
    """Two CPUs: a solo is let go and another takes over its very process; a gang of two is let go, and solos follow."""
    slow = job("slow", work="until_stopped")
    team = gang("team", 2, steps=10**6, seconds=0.02)
    after, last = job("after"), job("last")
    store, pool = Store.open(store_url), RayPool(store_url)
    pids: dict[str, int] = {}
    dropped: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "started" and "pid" in event.data:
            pids[event.key] = event.data["pid"]
        if event.kind == "progress" and event.key in (slow.key, team.key) and event.data["done"] > 3:
            scheduler.drop("solo" if event.key == slow.key else "gang")
        if event.kind == "dropped":
            dropped.append(event.key)

    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, listen)
        with scheduler.at_work():
            for owner, wanted in (("solo", slow), ("after", after), ("gang", team), ("last", last)):
                scheduler.want(owner, graph(wanted), [wanted.key])
                deadline = time.monotonic() + 60
                while scheduler.busy and time.monotonic() < deadline:
                    scheduler.turn()
                assert not scheduler.busy
    pool.close()
    assert dropped == [slow.key, team.key]
    assert scheduler.summary.states == {after.key: "done", last.key: "done"}
    assert pids[slow.key] == pids[after.key], "the worker stayed warm"
    assert groups() == 0, "the gang's placement group is gone"
    for each in (slow, team):
        assert any(store.scratch(each.key).work.iterdir()), "and both can go on where they were"
