"""The pool on a real local Ray cluster of two CPUs: parallel, warm, restarted after a death, closed without leftovers."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from cluster.errors import BadEnvironment
from cluster.events import Event
from cluster.job import Job
from cluster.ray_pool import RayPool
from cluster.scheduler import Scheduler, Summary
from cluster.store import Store
from tests.cluster.targets import built, graph, job
from tests.conftest import ROOT

pytestmark = pytest.mark.ray


def run(
    url: str, jobs: Mapping[str, Job], *goals: Job, events: list[Event] | None = None, pool: RayPool | None = None
) -> Summary:
    store = Store.open(url)
    own = pool or RayPool(url)
    try:
        with store.leases() as leases:
            return Scheduler(store, own, leases, (events if events is not None else []).append).run(
                jobs, [g.key for g in goals]
            )
    finally:
        if pool is None:
            own.close()


def test_independent_jobs_run_side_by_side_and_warm(ray_cluster: None, store_url: str) -> None:
    """Parallelism is read off the receipts: two jobs' spans overlap, on two processes, each with one thread."""
    jobs = [job(f"a{i}", seconds=0.6) for i in range(6)]
    summary = run(store_url, graph(*jobs), *jobs)
    assert summary.exit_code == 0
    receipts = [Store.open(store_url).receipt(j.key) for j in jobs]
    spans = sorted((r.started, r.started + r.seconds) for r in receipts)
    assert sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)) >= 3
    assert len({r.hardware["pid"] for r in receipts}) == 2, "two warm workers did all six"
    assert {r.hardware["threads"] for r in receipts} == {1}


def test_events_and_logs_come_back(ray_cluster: None, store_url: str) -> None:
    a = job("a", work="curve")
    b = job("b", a, work="fail")
    events: list[Event] = []
    summary = run(store_url, graph(a, b), b, events=events)
    assert [e.data["value"] for e in events if e.kind == "scalar"] == [1.0, 0.5, pytest.approx(1 / 3), 0.25, 0.2]
    assert summary.failures[b.key].tail[-1] == "RuntimeError: on purpose"
    assert "last words" in Store.open(store_url).log_path(b.key).read_text()


def test_a_killed_worker_is_replaced_and_the_job_goes_on(ray_cluster: None, store_url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    mortal = job("mortal", work="die_once", retries=1, ledger=str(ledger))
    bystander = job("bystander", ledger=str(ledger), seconds=0.5)
    events: list[Event] = []
    summary = run(store_url, graph(mortal, bystander), mortal, bystander, events=events)
    assert summary.exit_code == 0
    assert sorted(built(ledger)) == ["bystander", "mortal", "mortal"]
    assert [e.kind for e in events if e.key == mortal.key and e.kind in ("retry", "done")] == ["retry", "done"]


def test_shapes_make_room_for_one_another(ray_cluster: None, store_url: str) -> None:
    """One-core workers give way to a two-core job, and come back after it."""
    small = [job(f"s{i}", seconds=0.1) for i in range(2)]
    wide = job("wide", *small, cpus=2)
    after = [job(f"t{i}", wide) for i in range(2)]
    assert run(store_url, graph(*small, wide, *after), *after).exit_code == 0
    assert Store.open(store_url).receipt(wide.key).hardware["threads"] == 2


def test_what_never_fits_is_refused_with_both_numbers(ray_cluster: None, store_url: str) -> None:
    huge, fine = job("huge", cpus=64), job("fine")
    summary = run(store_url, graph(huge, fine), huge, fine)
    assert summary.exit_code == 3
    assert summary.failures[huge.key].error["what"] == "asks for 64 CPUs, and the largest node has 2"
    assert summary.states[fine.key] == "done"


def test_stopping_saves_and_the_same_call_continues(ray_cluster: None, store_url: str) -> None:
    slow = job("slow", work="until_stopped")
    store = Store.open(store_url)
    pool = RayPool(store_url)
    events: list[Event] = []
    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, events.append)

        def stop_when_started(event: Event) -> None:
            if event.kind == "progress":
                scheduler.stop()

        scheduler._emit = stop_when_started
        summary = scheduler.run(graph(slow), [slow.key])
    assert summary.states == {slow.key: "stopped"}
    assert summary.exit_code == 75
    again = job("slow", work="until_stopped", steps=int((store.scratch(slow.key).work / "step").read_text()) + 2)
    assert run(store_url, graph(again), again, pool=pool).exit_code == 0, "the pool serves again, by another worker"
    pool.close()


def test_an_address_that_does_not_answer_is_told_at_once() -> None:
    started = time.monotonic()
    code = "from cluster.ray_pool import connect\nconnect('127.0.0.1:1')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Ray at 127.0.0.1:1: does not answer" in done.stderr
    assert BadEnvironment.__name__ in done.stderr
    assert time.monotonic() - started < 60


def test_an_existing_cluster_is_joined_with_its_token_and_refused_without(tmp_path: Path) -> None:
    """A head started by hand, as on a cluster: the right token joins and runs, a wrong one is told what to check."""
    port = _free_port()
    folder = Path(tempfile.mkdtemp(prefix="w2s-head-", dir="/tmp"))  # short: sockets have 107 bytes
    token, wrong = folder / "token", folder / "wrong"
    token.write_text("a" * 64)
    wrong.write_text("b" * 64)
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    command = [
        "ray",
        "start",
        "--head",
        f"--port={port}",
        "--num-cpus=1",
        f"--temp-dir={folder}",
        "--include-dashboard=false",
    ]
    command += ["--object-store-memory=100000000", "--block"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *command[1:]],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        code = f"""
from cluster.ray_pool import RayPool, connect
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.cluster.targets import graph, job
connect("127.0.0.1:{port}")
a = job("a")
store = Store.open({str(tmp_path / "store")!r})
pool = RayPool(store.url)
with store.leases() as leases:
    print(Scheduler(store, pool, leases, lambda event: None).run(graph(a), [a.key]).states)
pool.close()
"""
        joined = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert "'done'" in joined.stdout, joined.stderr
        env["RAY_AUTH_TOKEN_PATH"] = str(wrong)
        refused = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert "do RAY_AUTH_MODE and the token match?" in refused.stderr
    finally:
        family = [head, *psutil.Process(head.pid).children(recursive=True)] if head.poll() is None else []
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise AssertionError("the head never listened")


def _name(process: psutil.Process) -> str:
    try:
        return str(process.cmdline())
    except psutil.Error:
        return ""


def test_a_killed_driver_leaves_no_processes_and_loses_nothing(store_url: str, tmp_path: Path) -> None:
    """SIGKILL of the driver while a job runs: Ray's processes end, finished work stays, the next run does only the rest."""
    ledger = tmp_path / "ledger"
    code = f"""
from cluster.ray_pool import RayPool, connect
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.cluster.targets import graph, job
connect(None, cpus=1)
a = job("a", ledger={str(ledger)!r})
b = job("b", a, work="until_stopped", ledger={str(ledger)!r})
store = Store.open({store_url!r})
with store.leases() as leases:
    Scheduler(store, RayPool({store_url!r}), leases, print).run(graph(a, b), [b.key])
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while built(ledger) != ["a", "b"]:
        assert time.monotonic() < deadline, "the driver never got to b"
        assert driver.poll() is None, "the driver ended by itself"
        time.sleep(0.1)
    family = psutil.Process(driver.pid).children(recursive=True)
    # Ray's two agents look for their raylet at intervals and leave within a minute; they hold no work and no cores
    working = [process for process in family if "Agent" not in _name(process)]
    assert any("SoloWorker" in _name(process) for process in working)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(working, timeout=30)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    a = job("a", ledger=str(ledger))
    b = job("b", a, work="until_stopped", ledger=str(ledger), steps=1)
    from tests.cluster.test_scheduler import run as run_inline

    assert run_inline(store_url, graph(a, b), b).exit_code == 0
    assert built(ledger) == ["a", "b", "b"], "a was not done again, and b was taken over from the dead at once"


def test_a_job_whose_place_is_taken_says_what_it_waits_for_and_stops_at_once(
    ray_cluster: None, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds the cluster's CPUs: the wait is told, and Ctrl-C does not wait for them."""
    import ray

    from cluster import ray_pool

    monkeypatch.setattr(ray_pool, "WAITING_S", 0.5)
    other = ray.remote(SomebodyElse).options(num_cpus=2).remote()
    ray.get(other.here.remote())
    a = job("a")
    store = Store.open(store_url)
    pool = RayPool(store_url)
    said: list[Event] = []

    def listen(event: Event) -> None:
        said.append(event)
        if event.kind == "waiting":
            scheduler.stop()

    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, listen)
        summary = scheduler.run(graph(a), [a.key])
    assert [e.data["for"] for e in said if e.kind == "waiting"] == ["1 CPUs to be free on the cluster"]
    assert summary.states == {a.key: "stopped"}
    assert summary.exit_code == 75
    ray.kill(other)
    pool.close()


class SomebodyElse:
    def here(self) -> bool:
        return True


def test_an_idle_worker_gives_way_to_one_that_finds_no_place(
    ray_cluster: None, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two drivers on one cluster, each with a warm worker: who waits gets the other's place after a while."""
    from cluster import ray_pool

    monkeypatch.setattr(ray_pool, "IDLE_S", 0.5)
    first, second = RayPool(store_url), RayPool(store_url)
    a, wide = job("a"), job("wide", cpus=2)
    assert run(store_url, graph(a), a, pool=first).exit_code == 0
    second.start([(wide, None)])
    deadline = time.monotonic() + 60
    ended: list[object] = []
    while not ended and time.monotonic() < deadline:
        first.poll(0.1, lambda event: None)
        ended += second.poll(0.1, lambda event: None)
    assert ended, "the first driver's idle worker kept the CPU that the second one needed"
    first.close()
    second.close()
