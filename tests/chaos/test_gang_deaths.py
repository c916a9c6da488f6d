"""What clusters do to a gang: killed and frozen ranks, a killed controller, keeper, driver, node; a drained node.

After each: the job goes on from its last save, nothing of the dead attempt lives, its place on the cluster is free.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster import local_session
from cluster.events import Event
from cluster.ray_connect import connect, disconnect, fresh_session
from cluster.store import Store
from tests.chaos.processes import (
    Attempt,
    Trouble,
    actors,
    freeze_rank,
    groups,
    kill_controller,
    kill_keeper,
    kill_rank,
    orphans,
    run,
)
from tests.cluster.targets import gang, graph
from tests.conftest import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.slow]
STEPS = 60
HANG_S = 6.0


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster on this machine: a head without CPUs, where the driver is, and room for nodes to come and go."""
    before = dict(os.environ)
    folder = fresh_session()
    os.environ["RAY_TMPDIR"] = str(folder)  # or it would note its address where every Ray of this machine looks
    (folder / "ray").mkdir()
    from ray.cluster_utils import Cluster

    quiet = {"include_dashboard": False, "object_store_memory": 80 * 1024**2}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **quiet})
    connect(cluster.address)
    yield cluster
    disconnect()
    cluster.shutdown()
    local_session.end()
    os.environ.clear()
    os.environ.update(before)


def add(cluster: Any, cpus: int) -> Any:
    return cluster.add_node(num_cpus=cpus, object_store_memory=80 * 1024**2)


def whole(store_url: str, key: str, ranks: int) -> bool:
    """Whether the result is that of an unbroken run: each step was added once."""
    total = sum(range(STEPS)) * ranks * (ranks + 1) // 2
    return Store.open(store_url).receipt(key).metrics["total"] == total


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(["rank", "frozen rank"], id="a rank"),
        pytest.param(["rank", "controller", "keeper", "frozen rank"], id="each", marks=pytest.mark.soak),
    ],
)
def test_any_process_of_a_gang_may_die_or_hang(lost: list[str], nodes: Any, store_url: str) -> None:
    """More deaths than the one retry that is allowed, and none is spent, as each attempt got further."""
    acts = {"rank": kill_rank(1), "controller": kill_controller, "keeper": kill_keeper, "frozen rank": freeze_rank(1)}
    node = add(nodes, 2)
    looked: list[tuple[list[int], int]] = []

    def look_back(attempt: Attempt) -> None:
        looked.append((orphans(heard.attempts[-2].pids), groups()))

    def then(act: Any) -> Any:
        return lambda attempt: (look_back(attempt), act(attempt))

    first, *others = [acts[name] for name in lost]
    heard = Trouble([first, *map(then, others), look_back])
    team = gang("team", 2, retries=1, hang_s=HANG_S, steps=STEPS, seconds=0.3)
    summary = run(store_url, graph(team), team, listen=heard)
    assert summary.exit_code == 0, summary.failures
    assert looked == [([], 1)] * len(lost), (
        "each attempt found its predecessor's processes gone, and one placement group: its own"
    )
    assert whole(store_url, team.key, 2)
    told = [event.data["error"]["what"] for event in heard.kinds("retry")]
    errors = dict(zip(lost, told, strict=True))
    pids = [attempt.pids for attempt in heard.attempts]
    assert errors["rank"].startswith(f"rank 1 (pid {pids[0][1]} on ")
    assert errors["rank"].endswith(" died")
    assert "its gang was lost" in errors.get("controller", "its gang was lost")
    assert "its gang's keeper died" in errors.get("keeper", "its gang's keeper died")
    assert f"rank 1 (pid {pids[len(lost) - 1][1]} on " in errors["frozen rank"]
    assert "was silent for " in errors["frozen rank"]
    log = Store.open(store_url).logs / f"{team.key}.rank1.log"
    assert str(log) in errors["frozen rank"]
    assert "all_reduce" in log.read_text().partition("most recent call first")[2], "the frozen rank wrote where it was"
    assert groups() == 0
    assert orphans(pids[-1]) == []
    assert actors("GangKeeper") == actors("TrainController") == actors("PlacementGroupCleaner") == []
    nodes.remove_node(node)


def test_ranks_that_wait_for_one_another_are_found_out(nodes: Any, store_url: str) -> None:
    """Rank 1 sleeps for ever, alive and well; rank 0 waits for it. Without retries that is the end, with a name."""
    node = add(nodes, 2)
    heard = Trouble([])
    team = gang("team", 2, hang_s=HANG_S, steps=STEPS, sleep_at={"1": 2})
    summary = run(store_url, graph(team), team, listen=heard)
    what = summary.failures[team.key].error["what"]
    assert what.startswith("no rank got on for ")
    assert f"rank 1 (pid {heard.attempts[0].pids[1]} on " in what
    assert "_mishaps" in (Store.open(store_url).logs / f"{team.key}.rank1.log").read_text()
    assert "all_reduce" in Store.open(store_url).log_path(team.key).read_text().partition("most recent call first")[2]
    assert orphans(heard.attempts[0].pids) == []
    assert groups() == 0
    nodes.remove_node(node)


@pytest.mark.timeout(400)
def test_a_lost_node_is_waited_for_and_a_drained_one_ends_the_run_with_75(nodes: Any, store_url: str) -> None:
    """Three ranks on two nodes, ranks by node. One node dies, another comes: on it goes; a drain then: saved, 75."""
    wide, narrow = add(nodes, 2), add(nodes, 1)

    def lose(attempt: Attempt) -> None:
        nodes.remove_node(narrow)
        joined.append(add(nodes, 1))

    def drain(attempt: Attempt) -> None:
        command = ["drain-node", "--address", nodes.address, "--node-id", joined[0].node_id]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "reclaimed"]
        command += ["--deadline-remaining-seconds", "120"]
        subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *command], check=True, capture_output=True)

    joined: list[Any] = []
    heard = Trouble([lose, drain])
    team = gang("team", 3, retries=1, steps=10**6, seconds=0.05)
    summary = run(store_url, graph(team), team, listen=heard)
    assert summary.states == {team.key: "stopped"}, summary.failures
    assert summary.exit_code == 75
    assert [event.data["text"] for event in heard.kinds("note")][-1].endswith("about to be taken away")
    first, second = heard.attempts
    for attempt in (first, second):
        assert len(set(attempt.nodes)) == 2
        assert attempt.nodes[0] == attempt.nodes[1] or attempt.nodes[1] == attempt.nodes[2], (
            "ranks of a node are neighbours"
        )
    assert narrow.node_id in first.nodes
    assert joined[0].node_id in second.nodes
    assert len(heard.kinds("retry")) == 1
    step = json.loads((Store.open(store_url).scratch(team.key).work / "progress.json").read_text())[0]
    assert step > 6
    assert groups() == 0
    nodes.remove_node(wide)
    with contextlib.suppress(Exception):
        nodes.remove_node(joined[0])


def test_a_killed_driver_takes_its_gang_with_it(store_url: str, tmp_path: Path) -> None:
    code = f"""
import json
from cluster.ray_pool import connect
from tests.chaos.processes import run
from tests.cluster.targets import gang, graph
connect(None, cpus=2)
team = gang("team", 2, steps=10**6, seconds=0.05)
run({store_url!r}, graph(team), team, listen=lambda event: print(json.dumps([event.kind, dict(event.data)]), flush=True))
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert driver.stdout is not None
    told = (json.loads(line) for line in driver.stdout)
    ranks = next(data["ranks"] for kind, data in told if kind == "started")
    assert next(data for kind, data in told if kind == "progress")
    family = {process.pid: _title(process.pid) for process in psutil.Process(driver.pid).children(recursive=True)}
    assert {rank["pid"] for rank in ranks} <= set(family)
    # Ray's agents look for their raylet at intervals; they hold no work and no cores
    working = [pid for pid, title in family.items() if "ray::" in title and "Agent" not in title]
    assert any("GangKeeper" in family[pid] for pid in working)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    assert [family[pid] for pid in orphans(working, timeout_s=30)] == []
    from tests.cluster.test_scheduler import run as run_inline

    again = gang("team", 2, steps=1)
    events: list[Event] = []
    started = time.monotonic()
    assert run_inline(store_url, graph(again), again, events=events).exit_code == 0, "taken over from the dead at once"
    assert time.monotonic() - started < 30


def _title(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
