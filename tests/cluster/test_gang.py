"""Gangs on a real cluster of two CPUs: two ranks under Ray Train beside solo jobs, what they leave, how they stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.events import Event
from cluster.ray_pool import RayPool
from cluster.scheduler import Scheduler
from cluster.store import Store
from tests.chaos.processes import Trouble, groups, orphans, run
from tests.cluster.targets import gang, graph, job

pytestmark = [pytest.mark.ray, pytest.mark.slow]
RANKS = 2


def test_a_gang_gets_its_turn_between_solos_and_leaves_a_whole_result(ray_cluster: None, store_url: str) -> None:
    """Two CPUs, four solos and a gang of two: it starts after the first solos end, before the others begin."""
    first = [job(f"first{i}", seconds=1) for i in range(2)]
    later = [job(f"later{i}", seconds=0.2) for i in range(2)]
    team = gang("team", RANKS, steps=10)
    heard = Trouble([])
    summary = run(store_url, graph(*first, team, *later), *later, team, *first, listen=heard)
    assert summary.exit_code == 0
    store = Store.open(store_url)
    receipt = store.receipt(team.key)
    assert {path.name: path.read_text() for path in store.path(team.key).glob("rank*")} == {
        "rank0": "135",
        "rank1": "135",
    }
    assert receipt.metrics == {"total": 135, "steps": 10, "device": "cpu", "threads": 1}, "45 x (1 + 2)"
    assert receipt.hardware["ranks"] == RANKS
    assert receipt.hardware["nodes"] == 1
    assert len(receipt.hardware["hosts"]) == RANKS
    assert receipt.hardware["pids"] == heard.attempts[0].pids
    assert len(set(receipt.hardware["pids"])) == RANKS
    assert receipt.files.keys() >= {"rank0", "rank1"}
    spans = {j.name: store.receipt(j.key) for j in (*first, *later)}
    assert all(spans[j.name].started + spans[j.name].seconds <= receipt.started for j in first)
    assert all(spans[j.name].started >= receipt.started + receipt.seconds for j in later)
    assert "rank 0 of 2 works" in store.log_path(team.key).read_text()
    assert "rank 1 of 2 works" in (store.logs / f"{team.key}.rank1.log").read_text()
    assert [e.data["step"] for e in heard.kinds("scalar")] == list(range(1, 11)), "rank 0 alone tells"
    assert not (store.path(team.key).parent.parent / "scratch" / team.key).exists()
    assert orphans(heard.attempts[0].pids) == []
    assert groups() == 0


def test_the_cause_reaches_the_user_not_what_it_did_to_the_others(ray_cluster: None, store_url: str) -> None:
    """Rank 1 fails with a reason while rank 0 waits for it; solos that were ready at the same time are done after it."""
    team = gang("team", RANKS, work="all_reduce", fail_at={"1": 3})
    solos = [job(f"solo{i}", seconds=0.1) for i in range(4)]
    heard = Trouble([])
    summary = run(store_url, graph(team, *solos), *solos, team, listen=heard)
    assert [summary.states[solo.key] for solo in solos] == ["done"] * 4
    error = summary.failures[team.key].error
    assert error["error"] == "StageFailed"
    assert error["what"].startswith(f"the disk of this rank is on fire (rank 1 (pid {heard.attempts[0].pids[1]} on ")
    assert error["what"].endswith(f"its log is {Store.open(store_url).logs / f'{team.key}.rank1.log'})")
    assert error["remedy"] == "put it out"
    assert any("on fire" in line for line in summary.failures[team.key].tail)
    assert summary.exit_code == 1
    assert groups() == 0
    assert orphans(heard.attempts[0].pids) == []


def test_bad_input_on_a_rank_keeps_its_exit_code_and_is_not_tried_again(ray_cluster: None, store_url: str) -> None:
    team = gang("team", 1, retries=3, odd_at={"0": 2})
    heard = Trouble([])
    summary = run(store_url, graph(team), team, listen=heard)
    assert summary.exit_code == 2
    assert len(heard.attempts) == 1


def test_stopping_a_gang_saves_and_the_same_call_goes_on(ray_cluster: None, store_url: str) -> None:
    team = gang("team", RANKS, steps=10**6, seconds=0.02)
    store, pool = Store.open(store_url), RayPool(store_url)
    heard = Trouble([lambda attempt: scheduler.stop()])
    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, heard)
        summary = scheduler.run(graph(team), [team.key])
    pool.close()
    assert summary.states == {team.key: "stopped"}
    assert summary.exit_code == 75
    saved = store.scratch(team.key).work / "progress.json"
    step = int(saved.read_text().strip("[").split(",")[0])
    assert step >= 3
    for log in (store.log_path(team.key), store.logs / f"{team.key}.rank1.log"):
        assert "Interrupted: team: stopped at" in log.read_text(), "both ranks left of their own accord"
    from tests.cluster.test_scheduler import run as run_inline

    again = gang("team", RANKS, steps=step + 2)
    assert run_inline(store_url, graph(again), again).exit_code == 0, "one process goes on where two stopped"
    assert store.receipt(team.key).metrics["steps"] == step + 2


def test_a_gang_that_never_fits_is_refused_at_once(ray_cluster: None, store_url: str) -> None:
    events: list[Event] = []
    huge, fine = gang("huge", 4, cpus=2), job("fine")
    summary = run(store_url, graph(huge, fine), huge, fine, listen=events.append)
    assert summary.exit_code == 3
    assert summary.failures[huge.key].error["what"] == (
        "asks for 4 devices of 2 CPUs each; the cluster has 1 node with 2 CPUs in all"
    )
    assert not Path(Store.open(store_url).log_path(huge.key)).exists(), "nothing was started"
    assert summary.states[fine.key] == "done"


def test_a_gang_that_waits_stops_at_once_and_says_what_for(
    ray_cluster: None, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds a CPU: the wait is told, and a stop neither waits for them nor leaves a claim behind."""
    import ray

    from cluster import ray_pool

    monkeypatch.setattr(ray_pool, "WAITING_S", 8.0)  # the keeper's own start takes a few seconds
    other = ray.remote(SomebodyElse).options(num_cpus=1).remote()
    ray.get(other.here.remote())
    team = gang("team", RANKS)
    store, pool = Store.open(store_url), RayPool(store_url)
    waits: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "waiting":
            waits.append(event.data["for"])
            scheduler.stop()

    with store.leases() as leases:
        scheduler = Scheduler(store, pool, leases, listen)
        summary = scheduler.run(graph(team), [team.key])
    pool.close()
    assert waits == ["2 x 1 CPUs to be free on the cluster"]
    assert summary.exit_code == 75
    assert groups() == 0
    ray.kill(other)


class SomebodyElse:
    def here(self) -> bool:
        return True
