"""The graph walk on a real store: nothing twice, a failure stops its descendants only, the same call goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from cluster.errors import Interrupted, StageFailed, TakenOver, from_record
from cluster.events import Event, Listener
from cluster.job import Job
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from cluster.worker import Ended, LeaseRef, execute
from tests.cluster.targets import built, graph, job
from tests.conftest import ROOT


def run(url: str, jobs: Mapping[str, Job], *goals: Job, events: list[Event] | None = None) -> Summary:
    store = Store.open(url)
    with store.leases() as leases:
        return Scheduler(store, InlinePool(url), leases, (events if events is not None else []).append).run(
            jobs, [g.key for g in goals]
        )


def test_order_results_and_receipts(store_url: str) -> None:
    a = job("a")
    b, c = job("b", a), job("c", a)
    d = job("d", b, c)
    summary = run(store_url, graph(d, c, b, a), d)
    assert summary.exit_code == 0
    assert summary.count("done") == 4
    store = Store.open(store_url)
    assert (store.path(d.key) / "text").read_text() == "abacd"
    receipt = store.receipt(d.key)
    assert receipt.inputs == {b.key: "b", c.key: "c"}
    assert receipt.metrics == {"length": 2}
    assert receipt.versions["python"]
    assert receipt.seconds >= 0


def test_the_second_run_starts_nothing(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    a = job("a", ledger=str(ledger))
    b = job("b", a, ledger=str(ledger))
    run(store_url, graph(a, b), b)
    events: list[Event] = []
    summary = run(store_url, graph(a, b), b, events=events)
    assert built(ledger) == ["a", "b"]
    assert summary.states == {b.key: "cached"}, "what nobody needs is not asked for"
    assert [event.kind for event in events] == ["planned"]


def test_only_what_a_goal_needs_runs(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    a, other = job("a", ledger=str(ledger)), job("other", ledger=str(ledger))
    run(store_url, graph(a, other), a)
    assert built(ledger) == ["a"]


def test_a_failure_stops_its_descendants_only(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    bad = job("bad", work="fail", ledger=str(ledger))
    child = job("child", bad, ledger=str(ledger))
    grandchild = job("grandchild", child, ledger=str(ledger))
    good = job("good", ledger=str(ledger))
    events: list[Event] = []
    summary = run(store_url, graph(bad, child, grandchild, good), grandchild, good, events=events)
    assert summary.exit_code == 1
    states = {
        name: summary.states[j.key]
        for name, j in {"bad": bad, "child": child, "grandchild": grandchild, "good": good}.items()
    }
    assert states == {"bad": "failed", "child": "skipped", "grandchild": "skipped", "good": "done"}
    failed = next(event for event in events if event.kind == "failed")
    assert "on purpose" in str(from_record(dict(failed.data["error"])))
    assert any("RuntimeError: on purpose" in line for line in failed.data["tail"])
    assert "last words" in Path(failed.data["log"]).read_text()
    assert {event.data["needs"] for event in events if event.kind == "skipped"} == {"bad", "child"}


def test_bad_input_is_not_tried_again_and_decides_the_exit_code(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    odd = job("odd", work="refuse", retries=3, ledger=str(ledger))
    summary = run(store_url, graph(odd), odd)
    assert built(ledger) == ["odd"]
    assert summary.exit_code == 2


def test_retries_are_as_many_as_allowed(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    bad = job("bad", work="fail", retries=2, ledger=str(ledger))
    assert run(store_url, graph(bad), bad).exit_code == 1
    assert built(ledger) == ["bad"] * 3


def test_a_mended_cause_needs_only_the_same_call(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    a = job("a", ledger=str(ledger))
    bad = job("b", a, work="fail", ledger=str(ledger))
    run(store_url, graph(a, bad), bad)
    mended = job("b", a, work="write", ledger=str(ledger))
    assert mended.key == bad.key
    assert run(store_url, graph(a, mended), mended).exit_code == 0
    assert built(ledger) == ["a", "b", "b"]


def test_stopping_saves_and_the_same_call_continues(store_url: str, tmp_path: Path) -> None:
    slow = job("slow", work="until_stopped")
    after = job("after", slow)
    store = Store.open(store_url)
    pool = InlinePool(store_url)
    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, lambda event: None)
        threading.Timer(0.3, scheduler.stop).start()
        summary = scheduler.run(graph(slow, after), [after.key])
    assert summary.exit_code == 75
    assert summary.states == {slow.key: "stopped", after.key: "waiting"}
    steps = int((store.scratch(slow.key).work / "step").read_text())
    assert steps > 0
    again = job("slow", work="until_stopped", steps=steps + 3)
    assert run(store_url, graph(again), again).exit_code == 0
    assert store.receipt(slow.key).metrics == {"steps": steps + 3}


def test_two_drivers_at_once_build_everything_once(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    first = [job(f"a{i}", ledger=str(ledger), seconds=0.05) for i in range(4)]
    last = job("z", *first, ledger=str(ledger), seconds=0.05)
    order = tmp_path / "order.json"
    order.write_text(json.dumps([dataclasses.asdict(each) for each in (*first, last)]))
    drivers = [subprocess.Popen([sys.executable, "-c", DRIVER, store_url, str(order)], cwd=ROOT) for _ in range(2)]
    assert [driver.wait(60) for driver in drivers] == [0, 0]
    assert sorted(built(ledger)) == ["a0", "a1", "a2", "a3", "z"]


DRIVER = """
import json, sys
from cluster.job import Job, Resources
from tests.cluster.test_scheduler import run

told = json.load(open(sys.argv[2]))
jobs = [Job(**{**each, "needs": tuple(each["needs"]), "resources": Resources(**each["resources"])}) for each in told]
sys.exit(run(sys.argv[1], {job.key: job for job in jobs}, jobs[-1]).exit_code)
"""


def test_a_pack_is_done_in_one_go_and_each_job_has_its_own_result(store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    first = [job(f"a{i}", work="add", pack="adders", ledger=str(ledger)) for i in range(3)]
    other = job("b", work="add", pack="others", ledger=str(ledger))
    last = job("z", *first, other)
    events: list[Event] = []
    summary = run(store_url, graph(*first, other, last), last, events=events)
    assert summary.exit_code == 0
    assert summary.count("done") == 5
    assert sorted(built(ledger)) == ["a0+a1+a2", "b"]
    store = Store.open(store_url)
    assert [store.receipt(each.key).metrics for each in first] == [{"together": 3}] * 3
    assert [(store.path(each.key) / "text").read_text() for each in first] == ["a0", "a1", "a2"]
    assert {event.key for event in events if event.kind == "started"} == {each.key for each in (*first, other, last)}
    for each in first:
        assert "done together with 2 others; what was said is in " in store.log_path(each.key).read_text()
    assert store.verify() == []


def test_in_a_pack_only_the_one_at_fault_fails(store_url: str, tmp_path: Path) -> None:
    first = [job(f"a{i}", work="add", pack="adders", bad=i == 1) for i in range(3)]
    summary = run(store_url, graph(*first), *first)
    assert [summary.states[each.key] for each in first] == ["done", "failed", "done"]
    assert "a1 cannot" in summary.failures[first[1].key].error["what"]


def test_what_failed_once_is_done_alone(store_url: str, tmp_path: Path) -> None:
    """Its worker may have died of it: then its company dies with it, and must not do so again."""
    ledger = tmp_path / "ledger"
    first = [job(f"a{i}", work="add", pack="adders", ledger=str(ledger), retries=1) for i in range(3)]

    class Dies(InlinePool):
        def poll(self, timeout_s: float, emit: Listener) -> list[Ended]:
            if self._queue and len(self._queue[0]) > 1:
                return [dataclasses.replace(DIED, key=each.key) for each, _ in self._queue.popleft()]
            return super().poll(timeout_s, emit)

    store = Store.open(store_url)
    with store.leases() as leases:
        summary = Scheduler(store, Dies(store_url), leases, lambda event: None).run(
            graph(*first), [each.key for each in first]
        )
    assert summary.exit_code == 0
    assert sorted(built(ledger)) == ["a0", "a1", "a2"]


def test_a_store_in_memory_serves_as_well() -> None:
    url = "memory://scheduler-test"
    a = job("a")
    b = job("b", a)
    assert run(url, graph(a, b), b).exit_code == 0
    assert (Store.open(url).path(b.key) / "text").read_text() == "ab"


@pytest.mark.parametrize("work", ["write", "curve"])
def test_curves_are_event_files_under_a_human_name(store_url: str, work: str) -> None:
    a = job("toy/train model (weak labels) s0", work=work)
    run(store_url, graph(a), a)
    folders = [path for path in Store.open(store_url).tensorboard.rglob("*") if path.is_file()]
    if work == "write":
        assert not folders, "a stage without curves leaves no event file"
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert folders[0].parent.name == f"train-model-weak-labels-s0-{a.key[:8]}"
    events = EventAccumulator(str(folders[0].parent))
    events.Reload()
    assert [round(point.value, 4) for point in events.Scalars("train/loss")] == [1.0, 0.5, 0.3333, 0.25, 0.2]


def test_a_breakpoint_in_a_stage_reaches_the_terminal(store_url: str) -> None:
    """The inline pool is for debugging: what a stage prints goes to its log, the debugger's prompt to the user."""
    code = f"""
from tests.cluster.targets import graph, job
from tests.cluster.test_scheduler import run
a = job("a", work="pause")
print(run({store_url!r}, graph(a), a).states[a.key])
"""
    # Ray, once connected in this process, leaves its own debugger in the environment
    env = {name: value for name, value in os.environ.items() if name != "PYTHONBREAKPOINT"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        input="p answer\nc\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "(Pdb) 42" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("done")


def test_one_who_was_taken_over_cannot_write_into_the_successors_result(store_url: str) -> None:
    """Two attempts at one key have an `out` each: what the late one writes before the commit is not in it."""
    a = job("a")
    run(store_url, graph(a), a)
    receipt = Store.open(store_url).receipt(a.key)
    store = Store.open(f"{store_url}-taken-over")
    late, successor = store.scratch(a.key, "loser-1"), store.scratch(a.key, "winner-1")
    (successor.out / "text").write_text("whole")
    late.out.mkdir(exist_ok=True)
    for name in ("text", "extra"):
        (late.out / name).write_text("late")
    store.commit(a.key, receipt, "winner-1")
    assert (store.path(a.key) / "text").read_text() == "whole"
    assert not (store.path(a.key) / "extra").exists()
    assert store.verify() == []


def test_a_worker_without_its_lease_publishes_nothing(store_url: str) -> None:
    a = job("a")
    ended = execute(a, store_url, LeaseRef(7, "nobody-1"), lambda event: None)
    assert ended.error["error"] == TakenOver.__name__
    assert not Store.open(store_url).has(a.key)


def test_a_lost_lease_is_no_failure_the_others_result_serves(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our attempt is refused at its end; the scheduler waits for the other driver and goes on with its result."""
    import cluster.worker

    a = job("a")
    b = job("b", a)
    real, calls = cluster.worker.still_held, []

    def lost_once(url: str, key: str, number: int, owner: str) -> None:
        calls.append(key)
        if len(calls) == 1:
            raise TakenOver("lease", "another driver has it")
        real(url, key, number, owner)

    monkeypatch.setattr(cluster.worker, "still_held", lost_once)
    summary = run(store_url, graph(a, b), b)
    assert summary.exit_code == 0
    assert calls.count(a.key) >= 2


def test_leases_outlive_the_last_save(store_url: str) -> None:
    """When the driver itself fails, running jobs save first and only then are the leases given up."""
    told: list[str] = []

    class Breaks(InlinePool):
        def poll(self, timeout_s: float, emit: object) -> list[object]:  # type: ignore[override]
            raise RuntimeError("the machine room is on fire")

        def close(self) -> None:
            told.append("held" if store.leases().held(a.key) else "given up")

    a = job("a")
    store = Store.open(store_url)
    with store.leases() as leases, pytest.raises(RuntimeError, match="on fire"):
        Scheduler(store, Breaks(store_url), leases, lambda event: None).run(graph(a), [a.key])
    assert told == ["held"]
    assert not store.leases().held(a.key)


class Scripted(InlinePool):
    """A pool whose jobs run only on paper: each attempt goes on at a step, and ends as the script says."""

    def __init__(self, url: str, *attempts: tuple[float, Ended]) -> None:
        super().__init__(url)
        self.attempts = list(attempts)
        self.started = 0

    def poll(self, timeout_s: float, emit: Listener) -> list[Ended]:
        if not self._queue:
            return []
        [(job, _)] = self._queue.popleft()
        step, ended = self.attempts[min(self.started, len(self.attempts) - 1)]
        self.started += 1
        emit(Event("progress", job.key, {"done": step, "total": 100, "unit": "step"}))
        return [dataclasses.replace(ended, key=job.key)]


DIED = Ended("", "failed", error=StageFailed("", "died").record(), died=True)
FAILED = Ended("", "failed", error=StageFailed("", "NaN").record())
STOPPED = Ended("", "stopped", error=Interrupted("", "stopped at 3").record())


@pytest.mark.parametrize(
    ("steps", "ended", "expected"),
    [
        ((0, 0, 0), DIED, 2),  # no further: one retry
        ((0, 10, 20, 30, 30, 30), DIED, 5),  # further thrice, then the retry
        ((20, 10, 15, 20), DIED, 2),  # going back and forth is not getting further
        ((0, 10, 20, 30), FAILED, 2),  # what a job raises it will raise again
        ((0, 10, 20, 30), STOPPED, 2),  # stopped, and nobody had asked
    ],
)
def test_a_death_after_progress_spends_no_retry(
    store_url: str, steps: tuple[float, ...], ended: Ended, expected: int
) -> None:
    a = job("a", retries=1)
    b = job("b", a)
    pool, store = Scripted(store_url, *((step, ended) for step in steps)), Store.open(store_url)
    with store.leases() as leases:
        summary = Scheduler(store, pool, leases, lambda event: None).run(graph(a, b), [b.key])
    assert summary.states == {a.key: "failed", b.key: "skipped"}
    assert pool.started == expected
    assert summary.exit_code == 1


def test_a_notice_from_the_pool_stops_the_run_as_a_signal_does(store_url: str) -> None:
    class Leaving(InlinePool):
        def notice(self) -> str:
            return "the machine is to be taken away"

    a = job("a")
    store = Store.open(store_url)
    events: list[Event] = []
    with store.leases() as leases:
        summary = Scheduler(store, Leaving(store_url), leases, events.append).run(graph(a), [a.key])
    assert summary.exit_code == 75
    assert [e.data["text"] for e in events if e.kind == "note"] == ["stopping: the machine is to be taken away"]
