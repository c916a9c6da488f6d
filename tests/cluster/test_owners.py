"""A graph that grows and shrinks while it runs: what several owners need is done once; what nobody needs saves and leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.events import Event
from cluster.job import Job
from cluster.monitor import Monitor
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.cluster.targets import built, graph, job


class Heard(list[Event]):
    """Every event; and what is to be done at some."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[tuple[str, str], object] = {}

    def __call__(self, event: Event) -> None:
        self.append(event)
        then = self.at.pop((event.kind, event.key), None)
        if callable(then):
            then()

    def kinds(self, key: str) -> list[str]:
        return [event.kind for event in self if event.key == key and event.kind not in ("progress", "note")]


@contextmanager
def working(url: str, heard: Heard) -> Iterator[Scheduler]:
    store = Store.open(url)
    with store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(url), leases, heard)
        with scheduler.at_work():
            yield scheduler


def finish(scheduler: Scheduler) -> None:
    while scheduler.busy:
        scheduler.turn(0.01)


def want(scheduler: Scheduler, owner: str, *jobs: Job) -> None:
    scheduler.want(owner, graph(*jobs), [jobs[-1].key])


def test_what_two_owners_need_is_built_once(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    shared = job("shared", ledger=str(ledger))
    one, two = job("one", shared, ledger=str(ledger)), job("two", shared, ledger=str(ledger))
    with working(store_url, Heard()) as scheduler:
        want(scheduler, "a", shared, one)
        scheduler.turn(0.01)
        want(scheduler, "b", shared, two)
        finish(scheduler)
        assert scheduler.states_of([shared.key, one.key, two.key]) == ["done"] * 3
    assert sorted(built(ledger)) == ["one", "shared", "two"]


def test_who_came_first_ends_first(store_url: str, tmp_path: Path) -> None:
    """Not all first steps before any second one: a search that is broken off has whole trials."""
    ledger = tmp_path / "ledger"
    with working(store_url, Heard()) as scheduler:
        for owner in "abc":
            first = job(f"{owner}1", ledger=str(ledger))
            want(scheduler, owner, first, job(f"{owner}2", first, ledger=str(ledger)))
        finish(scheduler)
    assert built(ledger) == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_dropping_an_owner_takes_only_what_nobody_else_needs(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    shared = job("shared", ledger=str(ledger))
    one, two = job("one", shared, ledger=str(ledger)), job("two", shared, ledger=str(ledger))
    heard = Heard()
    with working(store_url, heard) as scheduler:
        want(scheduler, "a", shared, one)
        want(scheduler, "b", shared, two)
        scheduler.drop("a")
        assert one.key not in scheduler.summary.states
        finish(scheduler)
    assert built(ledger) == ["shared", "two"]
    assert heard.kinds(one.key) == ["dropped"]
    assert scheduler.summary.exit_code == 0


def test_a_running_job_that_nobody_needs_any_more_saves_and_leaves(store_url: str) -> None:
    slow, other = job("slow", work="until_stopped"), job("other")
    after = job("after", slow)
    heard = Heard()
    with working(store_url, heard) as scheduler:
        heard.at["progress", slow.key] = lambda: scheduler.drop("a")
        want(scheduler, "a", slow, after)
        want(scheduler, "b", other)
        finish(scheduler)
    assert scheduler.summary.states == {other.key: "done"}
    assert heard.kinds(slow.key) == ["started", "dropped"]
    assert scheduler.summary.exit_code == 0, "a job that was let go is no failure"
    assert (Store.open(store_url).scratch(slow.key).work / "step").exists(), "and it can be taken up again"


def test_a_running_job_that_another_owner_needs_is_left_alone(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    slow = job("slow", work="until_stopped", steps=20, ledger=str(ledger))
    heard = Heard()
    with working(store_url, heard) as scheduler:
        heard.at["progress", slow.key] = lambda: scheduler.drop("a")
        want(scheduler, "a", slow)
        want(scheduler, "b", slow)
        finish(scheduler)
    assert built(ledger) == ["slow"]
    assert scheduler.summary.states == {slow.key: "done"}


def test_wanted_again_while_it_leaves_it_goes_on_where_it_saved(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    slow = job("slow", work="until_stopped", steps=30, ledger=str(ledger))
    heard = Heard()
    with working(store_url, heard) as scheduler:

        def change_mind() -> None:
            scheduler.drop("a")
            want(scheduler, "b", slow)

        heard.at["progress", slow.key] = change_mind
        want(scheduler, "a", slow)
        finish(scheduler)
    assert scheduler.summary.states == {slow.key: "done"}
    assert heard.kinds(slow.key) == ["started", "stopped", "started", "done"]
    assert built(ledger) == ["slow", "slow"]


def test_what_was_dropped_can_be_wanted_later(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    a = job("a", ledger=str(ledger))
    with working(store_url, Heard()) as scheduler:
        want(scheduler, "one", a)
        scheduler.drop("one")
        assert not scheduler.busy
        want(scheduler, "two", a)
        finish(scheduler)
    assert built(ledger) == ["a"]


def test_a_failure_stays_with_those_who_need_it(store_url: str) -> None:
    bad = job("bad", work="fail")
    child, fine = job("child", bad), job("fine")
    with working(store_url, Heard()) as scheduler:
        want(scheduler, "a", bad, child)
        want(scheduler, "b", fine)
        finish(scheduler)
        late = job("late", bad)
        want(scheduler, "c", bad, late)
        finish(scheduler)
        assert scheduler.states_of([child.key, late.key, fine.key]) == ["skipped", "skipped", "done"]


def test_a_display_counts_what_is_asked_for_now(store_url: str) -> None:
    a, b, c = job("a"), job("b"), job("c")
    heard = Heard()
    with working(store_url, heard) as scheduler:
        want(scheduler, "one", a)
        finish(scheduler)
        want(scheduler, "two", a, b)
        want(scheduler, "three", a, c)
        scheduler.drop("three")
        finish(scheduler)
    monitor = Monitor({})
    for event in heard:
        monitor(event)
    assert (monitor.total, monitor.cached, monitor.done, monitor.running) == (2, 0, 2, {})
