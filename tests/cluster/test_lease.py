"""Two drivers on one store never do the same stage twice, and what a dead one held is taken over."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadEnvironment, BadInput, StageFailed
from cluster.files import open_files
from cluster.key import content_key
from cluster.lease import Lease, LeaseRecord, Leases, Owner, still_held

KEY = content_key("one")
FAR = Owner("far", "another-host", "another-boot", 1, 0.0)


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
        return
    import fsspec

    yield "memory://lease"
    fsspec.filesystem("memory").store.clear()


def leases_at(url: str, owner: Owner | None = None, ttl_s: float = 60.0) -> Leases:
    return Leases(open_files(url), owner, ttl_s)


def taken(leases: Leases, key: str = KEY) -> Lease:
    lease = leases.acquire(key)
    assert lease is not None
    return lease


def plant(url: str, owner: Owner, number: int = 1, **changes: Any) -> LeaseRecord:
    """A lease file as some other process would have left it."""
    now: dict[str, Any] = {"ttl_s": 60.0, "beat": 0, "monotonic_s": time.monotonic(), "wall_s": time.time()}
    record = LeaseRecord(key=KEY, number=number, owner_id=f"{owner.id}-1", owner=owner, **{**now, **changes})
    open_files(url).replace(f"leases/{KEY}.{number}.json", record.to_bytes())
    return record


def test_a_key_is_held_by_one_and_free_again_after_release(url: str) -> None:
    mine, other = leases_at(url), leases_at(url)
    lease = taken(mine)
    assert other.acquire(KEY) is None
    assert mine.acquire(KEY) is None
    assert mine.held(KEY)
    assert other.held(KEY)
    holder = other.holder(KEY)
    assert holder is not None
    assert holder.owner == mine.owner
    assert str(holder) == f"pid {os.getpid()} on {mine.owner.host}"
    lease.check()
    still_held(url, KEY, lease.number, lease.owner_id)
    lease.release()
    lease.release()
    assert other.holder(KEY) is None
    assert not other.held(KEY)
    taken(other)


def test_keys_are_held_apart_from_each_other(url: str) -> None:
    mine, other = leases_at(url), leases_at(url)
    taken(mine)
    taken(other, content_key("two"))


def test_a_key_that_is_no_key_never_becomes_a_path(url: str) -> None:
    for key in ("../../etc/passwd", "a" * 63, "A" * 64, "", "a" * 64 + "\n"):
        with pytest.raises(BadInput):
            leases_at(url).acquire(key)


def test_a_lease_whose_process_never_was_is_taken_over_at_once(url: str) -> None:
    here = Owner.here()
    plant(url, Owner("gone", here.host, here.boot, here.pid, -1.0))  # our pid, but another process had it
    assert taken(leases_at(url)).number == 2
    assert open_files(url).names("leases") == [f"{KEY}.2.json"]


def test_a_living_neighbour_that_stopped_beating_is_taken_over(url: str) -> None:
    here = Owner.here()
    plant(url, here, monotonic_s=time.monotonic() - 30.0, ttl_s=60.0)
    assert leases_at(url).acquire(KEY) is None
    plant(url, here, monotonic_s=time.monotonic() - 61.0, ttl_s=60.0)
    taken(leases_at(url))


def test_clocks_of_two_hosts_are_not_compared(url: str) -> None:
    """A beat an hour old by its clock may be fresh; one from the future may be dead. Only standing still counts."""
    for skew_s in (-3600.0, 3600.0):
        plant(url, FAR, wall_s=time.time() + skew_s, ttl_s=0.05)
        mine = leases_at(url)
        assert mine.acquire(KEY) is None  # first sight starts our clock
        time.sleep(0.06)
        plant(url, FAR, wall_s=time.time() + skew_s, ttl_s=0.05, beat=1)  # it beats: alive
        assert mine.acquire(KEY) is None
        time.sleep(0.06)
        taken(mine).release()  # it stood still for longer than its time to live


def test_a_lease_of_another_day_is_dead_at_first_sight(url: str) -> None:
    plant(url, FAR, wall_s=time.time() - 2 * 86400)
    taken(leases_at(url))


def test_a_torn_lease_file_blocks_for_one_time_to_live_only(url: str) -> None:
    open_files(url).replace(f"leases/{KEY}.1.json", b'{"key": "')
    mine = leases_at(url, ttl_s=0.05)
    assert mine.acquire(KEY) is None
    time.sleep(0.06)
    assert taken(mine).number == 2


def test_who_was_taken_over_learns_it_and_leaves_the_new_lease_alone(url: str) -> None:
    zombie, heir = leases_at(url), leases_at(url)
    old = taken(zombie)
    plant(url, FAR, ttl_s=0.0)  # as if seen from a host that has heard nothing of us
    assert heir.acquire(KEY) is None
    new = taken(heir)
    with pytest.raises(StageFailed, match="taken this stage over"):
        old.check()
    with pytest.raises(StageFailed):
        still_held(url, KEY, old.number, old.owner_id)
    with pytest.raises(StageFailed):
        old.heartbeat()
    old.release()
    new.check()
    new.heartbeat()
    still_held(url, KEY, new.number, new.owner_id)
    assert zombie.acquire(KEY) is None


def test_a_beat_that_comes_back_from_the_dead_yields_at_the_next(url: str) -> None:
    """A holder stopped in the middle of a beat writes its file again after another took over with a higher number."""
    zombie = leases_at(url)
    old = taken(zombie)
    plant(url, FAR, number=2)
    with pytest.raises(StageFailed):
        old.check()
    with pytest.raises(StageFailed):
        old.heartbeat()
    assert open_files(url).names("leases") == [f"{KEY}.2.json"]


def test_the_same_owner_taking_a_key_again_does_not_revive_its_old_lease(url: str) -> None:
    mine = leases_at(url)
    old = taken(mine)
    old.release()
    new = taken(mine)
    assert new.number == old.number
    with pytest.raises(StageFailed):
        still_held(url, KEY, old.number, old.owner_id)
    still_held(url, KEY, new.number, new.owner_id)


def test_whoever_finds_a_stranger_after_creating_gives_way(tmp_path: Path) -> None:
    """B read the folder, slept through a take-over and a release, and creates its file beside a new holder's."""
    url = str(tmp_path)
    mine, other = leases_at(url), leases_at(url)
    create = mine.files.create

    def late(name: str, data: bytes) -> bool:
        plant(url, FAR, number=7)  # appears between our look and our file
        return create(name, data)

    mine.files.create = late  # type: ignore[method-assign]
    assert mine.acquire(KEY) is None
    assert open_files(url).names("leases") == [f"{KEY}.7.json"]
    assert other.acquire(KEY) is None


def test_beats_go_on_while_the_driver_is_busy_and_end_with_it(url: str) -> None:
    with leases_at(url, ttl_s=0.08) as mine:
        taken(mine)
        deadline = time.monotonic() + 10
        while (record := mine.holder(KEY)) is None or record.beat < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert leases_at(url).holder(KEY) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "lease-heartbeat"]


def test_a_lost_lease_ends_itself_in_the_background(url: str) -> None:
    with leases_at(url, ttl_s=0.04) as mine:
        lease = taken(mine)
        plant(url, FAR, number=2)
        deadline = time.monotonic() + 10
        while open_files(url).names("leases") != [f"{KEY}.2.json"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StageFailed):
            lease.check()


def test_a_folder_that_cannot_be_written_is_a_problem_with_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadEnvironment) as caught:
        leases_at(str(tmp_path / "file" / "store")).acquire(KEY)
    assert caught.value.remedy


# ---- real processes


def take_all(url: str, keys: list[str], start: Any, results: Any) -> None:
    """Take every key once, release none: what this process got."""
    try:
        with Leases(open_files(url)) as leases:
            start.wait(30)
            results.put([key for key in keys if leases.acquire(key) is not None])
            start.wait(30)  # all hold what they have until all have tried
    except Exception:
        results.put([traceback.format_exc()])


def test_of_four_processes_each_key_goes_to_exactly_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    keys = [content_key(number) for number in range(20)]
    start, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=take_all, args=(str(tmp_path), keys, start, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    got = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert Counter(key for some in got for key in some) == Counter(keys)
    assert Leases(open_files(str(tmp_path))).files.names("leases") == []


HOLD = """
import sys
from cluster.files import open_files
from cluster.lease import Leases
leases = Leases(open_files(sys.argv[1]))
leases.start()
lease = leases.acquire(sys.argv[2])
print(lease.number, lease.owner_id, flush=True)
sys.stdin.read()
"""


def test_a_killed_holder_is_taken_over_at_once_on_the_same_host(tmp_path: Path) -> None:
    url = str(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, url, KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    number, owner_id = child.stdout.readline().split()
    mine = leases_at(url)
    assert mine.acquire(KEY) is None
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet collected by its parent
    assert not mine.held(KEY)
    assert taken(mine).number == int(number) + 1
    with pytest.raises(StageFailed):
        still_held(url, KEY, int(number), owner_id)
    child.communicate()


def test_of_many_racers_for_a_dead_lease_one_wins(tmp_path: Path) -> None:
    here = Owner.here()
    for round_ in range(25):
        url = str(tmp_path / str(round_))
        plant(url, Owner("gone", here.host, here.boot, here.pid, -1.0))
        racers = [leases_at(url) for _ in range(6)]
        start, won = threading.Barrier(len(racers)), []

        def race(leases: Leases, start: threading.Barrier = start, won: list[Lease] = won) -> None:
            start.wait()
            lease = leases.acquire(KEY)
            if lease is not None:
                won.append(lease)

        threads = [threading.Thread(target=race, args=(leases,)) for leases in racers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        won[0].check()
        assert json.loads(open_files(url).read(f"leases/{KEY}.2.json"))["owner_id"] == won[0].owner_id
