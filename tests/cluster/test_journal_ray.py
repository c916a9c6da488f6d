"""The journal of a run on Ray: stages side by side, and a stop that comes through the store and is heard in the main thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import journal as journals
from cluster.errors import EXIT_AGAIN
from cluster.events import Event
from cluster.journal import Journal, read_runs
from cluster.monitor import Monitor
from cluster.ray_pool import RayPool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.cluster.targets import graph, job
from w2s.commands.at_work import _as_if_signalled, signals

pytestmark = pytest.mark.ray


def test_two_stages_at_once_are_told_and_asked_to_save(
    ray_cluster: None, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "EVERY_S", 0.1)
    store, pool = Store.open(store_url), RayPool(store_url)
    both = graph(job("a", work="until_stopped"), job("b", work="until_stopped"))
    seen: list[tuple[str, ...]] = []

    class Ears(Monitor):
        def show(self, event: Event) -> None:
            if event.kind == "progress" and not seen:
                seen.extend(tuple(one["name"] for one in run.running) for run in runs() if len(run.running) == 2)
                if seen:
                    (Path(store_url) / "runs" / f"{journal.id}.stop").touch()

    def runs() -> list[journals.Run]:
        return read_runs(store.files)

    try:
        with Journal(store, "test", Ears({}), ask_to_stop=_as_if_signalled) as journal, store.leases() as leases:
            journal.follow(both)
            scheduler = Scheduler(store, pool, leases, journal)
            with signals(scheduler, journal.monitor):
                summary = scheduler.run(both, list(both))
            journal.end(summary.exit_code)
    finally:
        pool.close()
    assert sorted(seen[0]) == ["a", "b"]
    assert summary.exit_code == EXIT_AGAIN
    (told,) = runs()
    assert (told.state, told.stages["total"], told.stages["done"]) == ("stopped", 2, 0)
