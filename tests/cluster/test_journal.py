"""The journal of a driver: what it tells of a real run, how a run is asked to stop, who is alive, what damage does."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import journal as journals
from cluster import run_record
from cluster.errors import EXIT_AGAIN, BadEnvironment, Problem
from cluster.events import Event
from cluster.job import Job
from cluster.journal import Journal, Run, is_alive, read_runs
from cluster.monitor import Monitor
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from tests.cluster.targets import graph, job
from tests.conftest import ROOT

VARIABLES = ("W2S_JOURNAL", "W2S_ORDER", "W2S_ELEMENT", "W2S_COMMAND")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "EVERY_S", 0.02)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


class Ears(Monitor):
    """A monitor that remembers what it was told, and does something at each event."""

    def __init__(self, act: Callable[[Event], object] = lambda event: None) -> None:
        super().__init__({})
        self.events: list[Event] = []
        self._act = act

    def show(self, event: Event) -> None:
        self.events.append(event)
        self._act(event)


def run(url: str, *jobs: Job, monitor: Monitor | None = None, goals: int = 1) -> Summary:
    """Run the last `goals` jobs and what they need, with a journal, on the inline pool."""
    store, schedulers = Store.open(url), []

    def stop() -> bool:
        for scheduler in schedulers:
            scheduler.stop()
        return bool(schedulers)

    with Journal(store, "test", monitor or Monitor({}), ask_to_stop=stop) as journal, store.leases() as leases:
        scheduler = Scheduler(store, InlinePool(url), leases, journal)
        schedulers.append(scheduler)
        journal.follow(graph(*jobs))
        summary = scheduler.run(graph(*jobs), [one.key for one in jobs[-goals:]])
        journal.end(summary.exit_code)
    return summary


def only(url: str) -> Run:
    (found,) = read_runs(Store.open(url).files)
    return found


def test_a_run_that_ends_well(store_url: str) -> None:
    a = job("a")
    ears = Ears()
    run(store_url, a, job("b", a), monitor=ears)
    told = only(store_url)
    assert (told.state, told.exit_code, told.recipe) == ("done", 0, "test")
    assert told.stages == {"total": 2, "cached": 0, "done": 2, "failed": 0}
    assert (told.pid, told.running, told.failures, told.progress) == (os.getpid(), (), (), 2.0)
    assert [event.kind for event in ears.events if event.kind in ("planned", "started", "done")] == [
        "planned",
        *["started", "done"] * 2,
    ]
    assert not is_alive(told)
    names = [file.name for file in (Path(store_url) / "runs").iterdir()]
    assert names == [f"{told.id}.json"]


def test_what_runs_is_seen_while_it_runs_and_a_stop_file_ends_it(store_url: str) -> None:
    long = job("long", work="until_stopped")
    seen: list[Run] = []

    def act(event: Event) -> None:
        if event.kind == "progress" and not seen:
            seen.extend(one for one in read_runs(Store.open(store_url).files) if one.running and one.running[0]["done"])
            if seen:
                (Path(store_url) / "runs" / f"{seen[0].id}.stop").touch()

    summary = run(store_url, long, monitor=Ears(act))
    (stage,) = seen[0].running
    assert is_alive(seen[0])
    assert (stage["key"], stage["name"], stage["total"], stage["device"]) == (long.key, "long", 10**6, "cpu")
    assert seen[0].eta_s is None or seen[0].eta_s > 0
    assert summary.exit_code == EXIT_AGAIN
    told = only(store_url)
    assert (told.state, told.exit_code, told.stages["done"]) == ("stopped", EXIT_AGAIN, 0)
    assert told.progress > 0, "what a stopped stage has saved is progress"
    assert not list((Path(store_url) / "runs").glob("*.stop"))


def test_a_stop_that_nobody_hears_yet_is_told_again(store_url: str) -> None:
    store, asked = Store.open(store_url), []
    with Journal(store, "test", Monitor({}), ask_to_stop=lambda: bool(asked.append(1)) or len(asked) == 3) as journal:
        journal.begin()
        (Path(store_url) / "runs").mkdir(exist_ok=True)
        (Path(store_url) / "runs" / f"{journal.id}.stop").touch()
        wait_until(lambda: len(asked) == 3)
        time.sleep(0.1)
    assert len(asked) == 3


def test_failures_are_told(store_url: str) -> None:
    bad = job("bad", work="fail")
    assert run(store_url, bad, job("after", bad)).exit_code == 1
    told = only(store_url)
    assert (told.state, told.exit_code, told.stages["failed"]) == ("failed", 1, 1)
    assert [(one["name"], one["error"]["error"]) for one in told.failures] == [("bad", "StageFailed")]


@pytest.mark.parametrize(
    "error,state,code",
    [(BadEnvironment("disk", "is full", "free some"), "failed", 3), (KeyboardInterrupt(), "stopped", 75), (OSError("x"), "failed", 1)],
)  # fmt: skip
def test_what_ends_the_driver_itself_is_told(error: BaseException, state: str, code: int, store_url: str) -> None:
    journal = Journal(Store.open(store_url), "test", Monitor({}))

    def drive() -> None:
        with journal:
            journal.begin()
            raise error

    with pytest.raises(type(error)):
        drive()
    told = only(store_url)
    assert (told.state, told.exit_code) == (state, code)
    assert told.problem == (error.record() if isinstance(error, Problem) else None)


def test_where_nothing_happens_nothing_is_written(store_url: str) -> None:
    with Journal(Store.open(store_url), "test", Monitor({})) as journal:
        journal.all_there(3)
    assert not (Path(store_url) / "runs").exists()


def order(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    for name, value in zip(VARIABLES, (str(file), "toy-1234abcd.1", "2", "0"), strict=True):
        monkeypatch.setenv(name, value)


def test_a_driver_of_an_order_tells_in_both_places_also_when_all_is_there(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "2" / "run-0.json"
    order(monkeypatch, own)
    for _ in range(2):
        with Journal(Store.open(store_url), "test", Monitor({})) as journal:
            journal.all_there(3)
    told = only(store_url)
    assert told == Run.from_bytes(own.read_bytes(), "own")
    assert (told.id, told.state, told.stages["cached"]) == ("toy-1234abcd.1.2.0", "done", 3)
    assert told.order == run_record.Place("toy-1234abcd.1", 2, 0)


def test_progress_goes_on_over_attempts(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier attempt finished still counts, though the next one does not even ask for it."""
    order(monkeypatch, tmp_path / "run-0.json")
    reached = []
    a = job("a")
    long = job("long", a, work="until_stopped", steps=120)
    for until in (1, 30, 10**6):

        def act(event: Event, until: int = until) -> None:
            if event.kind == "progress" and event.key == long.key and event.data["done"] >= until:
                (Path(store_url) / "runs" / "toy-1234abcd.1.2.0.stop").touch()

        run(store_url, a, long, monitor=Ears(act))
        reached.append(only(store_url).progress)
        with Journal(Store.open(store_url), "test", Monitor({})):  # an attempt that dies before anything goes on
            pass
        assert only(store_url).progress == reached[-1]
    assert 1 < reached[0] < reached[1] < reached[2] == 2.0


def test_a_store_that_cannot_be_written_is_told_once_and_fails_nothing(store_url: str) -> None:
    Store.open(store_url)
    (Path(store_url) / "runs").touch()
    ears = Ears()
    assert run(store_url, job("long", work="until_stopped", steps=30), monitor=ears).exit_code == 0
    notes = [event.data["text"] for event in ears.events if event.kind == "note"]
    assert len(notes) == 1
    assert "journal cannot be written" in notes[0]


DRIVER = """
import sys, time
from cluster.journal import Journal
from cluster.monitor import Monitor
from cluster.store import Store
with Journal(Store.open(sys.argv[1]), "killed", Monitor({})) as journal:
    journal.begin()
    time.sleep(60)
"""


def test_a_killed_driver_is_known_to_be_gone(store_url: str) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, store_url], cwd=ROOT)
    try:
        wait_until(lambda: bool(read_runs(Store.open(store_url, create=False).files)))
        assert is_alive(only(store_url))
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    told = only(store_url)
    assert told.state == "running", "it had no time to say anything"
    assert not is_alive(told)


def test_a_driver_elsewhere_lives_as_long_as_it_is_heard_of(store_url: str) -> None:
    run(store_url, job("a"))
    there = dataclasses.replace(only(store_url), state="running", owner={"host": "elsewhere", "pid": 1})
    assert is_alive(dataclasses.replace(there, updated=time.time() - 60))
    assert not is_alive(dataclasses.replace(there, updated=time.time() - 300))


@pytest.mark.parametrize(
    "change",
    [
        {"state": "flying"}, {"reached": {"a": "b"}}, {"stages": {}}, {"stages": 3}, {"owner": []}, {"running": [{}]}, {"format": 9},
        {"started": None},
    ],
)  # fmt: skip
def test_damaged_journals_are_told_and_passed_over(change: dict[str, Any], store_url: str) -> None:
    run(store_url, job("a"))
    file = next((Path(store_url) / "runs").glob("*.json"))
    (file.parent / "bad.json").write_text(json.dumps({**json.loads(file.read_bytes()), **change}), encoding="utf-8")
    (file.parent / "torn.json").write_bytes(file.read_bytes()[:100])
    (file.parent / "odd.json").write_bytes(b"\xff[]")
    told: list[Problem] = []
    assert len(read_runs(Store.open(store_url).files, told.append)) == 1
    assert sorted(Path(problem.where).name for problem in told) == ["bad.json", "odd.json", "torn.json"]


def test_old_journals_are_pruned_and_living_ones_are_not(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_record, "KEPT", 3)
    monkeypatch.setattr(run_record, "SLACK", 0)
    run(store_url, job("a"))
    done, files = only(store_url), Store.open(store_url).files
    for number in range(6):
        old = dataclasses.replace(done, id=f"old{number}", started=float(number))
        files.replace(run_record.file_name(old.id), old.to_bytes())
    alive = dataclasses.replace(done, id="alive", state="running", started=0.0)
    files.replace(run_record.file_name(alive.id), alive.to_bytes())
    run_record.prune(files)
    assert [one.id for one in read_runs(files)] == [done.id, "old5", "old4", "alive"]


def wait_until(true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
