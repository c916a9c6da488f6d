"""What a store has is whole, what is whole stays findable, and nothing that goes wrong leaves half a result."""

from __future__ import annotations

import dataclasses
import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cluster.publish
from cluster.errors import BadEnvironment, BadInput, StageFailed
from cluster.job import Receipt
from cluster.key import content_key
from cluster.lease import Leases, Owner
from cluster.seal import sealed, unsealed
from cluster.store import Store
from cluster.verify import Damage

KEY, OTHER, THIRD = content_key("one"), content_key("two"), content_key("three")
FILES = {"metrics.json": b'{"accuracy": 0.5}', "model/weights.bin": bytes(range(256)) * 8, "empty": b""}


def receipt_of(key: str = KEY, **changes: Any) -> Receipt:
    facts: dict[str, Any] = {
        "key": key, "kind": "train", "name": f"train {key[:4]}", "science": {"lr": 0.1, "betas": [0.9, 0.99]},
        "machines": {}, "inputs": {OTHER: "rows"}, "metrics": {"accuracy": 0.5}, "started": 1.5, "seconds": 2.0,
        "versions": {"python": "3"}, "hardware": {"hostname": "ü"}, "git": {},
    }  # fmt: skip
    return Receipt(**{**facts, **changes})


def write(store: Store, key: str = KEY, files: dict[str, bytes] = FILES) -> None:
    out = store.scratch(key).out
    for name, data in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)


def put(store: Store, key: str = KEY, files: dict[str, bytes] = FILES) -> Receipt:
    write(store, key, files)
    return store.commit(key, receipt_of(key))


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop("receipt.json")
    return found


@pytest.fixture(params=["path", "file url", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same store on each kind of filesystem."""
    if request.param != "memory":
        yield Store.open(("file://" if request.param == "file url" else "") + str(tmp_path / "store"))
        return
    import fsspec

    yield Store.open("memory://store", local_root=tmp_path / "local")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def place(store: Store, key: str = KEY) -> Path:
    return Path(store.url) / key[:2] / key


def damage_file(store: Store, name: str, data: bytes | None) -> None:
    """Change, add or (None) remove a stored file behind the store's back."""
    at = f"{KEY[:2]}/{KEY}/{name}"
    if data is None:
        store.files.remove(at)
    else:
        store.files.replace(at, data)


# ---- round trip


def test_what_was_committed_comes_back_byte_for_byte(store: Store) -> None:
    assert not store.has(KEY)
    stored = put(store)
    assert store.has(KEY)
    assert list(store.keys()) == [KEY]
    assert store.receipt(KEY) == stored
    assert dataclasses.replace(stored, files={}) == receipt_of()
    assert stored.files["model/weights.bin"]["bytes"] == 2048
    assert set(stored.files) == set(FILES)
    assert contents(store.path(KEY)) == FILES
    assert contents(store.path(KEY)) == FILES  # a second time from the cache
    assert store.verify() == []


def test_another_process_of_the_same_url_sees_it(store: Store, tmp_path: Path) -> None:
    put(store)
    again = Store.open(store.url, local_root=tmp_path / "elsewhere")
    assert again.has(KEY)
    assert contents(again.path(KEY)) == FILES
    assert not again.has(OTHER)


def test_scratch_is_gone_after_commit_and_its_out_is_empty_at_each_start(store: Store) -> None:
    first = store.scratch(KEY)
    (first.out / "half").write_text("x")
    (first.work / "checkpoint").write_text("y")
    second = store.scratch(KEY)
    assert list(second.out.iterdir()) == []
    assert (second.work / "checkpoint").read_text() == "y"
    store.commit(KEY, receipt_of())
    assert not second.work.parent.exists()


def test_the_first_commit_stays_and_a_later_one_is_dropped(store: Store) -> None:
    first = put(store)
    assert put(store, files={"metrics.json": b"other"}) == first
    assert contents(store.path(KEY)) == FILES
    assert store.verify() == []


def test_a_missing_result_is_a_failed_stage(store: Store) -> None:
    for ask in (store.receipt, store.path):
        with pytest.raises(StageFailed, match="is not in the store"):
            ask(KEY)


def test_a_commit_without_a_result_is_refused(store: Store) -> None:
    with pytest.raises(BadEnvironment, match="no result"):
        store.commit(KEY, receipt_of())
    with pytest.raises(BadInput):
        store.commit(KEY, receipt_of(OTHER))
    assert not store.has(KEY)


@pytest.mark.parametrize("key", ["", "..", "a" * 63, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
def test_what_is_no_key_never_becomes_a_path(local: Store, key: str) -> None:
    for ask in (local.has, local.receipt, local.path, local.scratch, local.log_path, local.delete, local.quarantine):
        with pytest.raises(BadInput, match="64 hex"):
            ask(key)


def test_metrics_that_are_not_json_are_the_stages_fault(local: Store) -> None:
    for metrics in ({"loss": float("nan")}, {"loss": object()}):
        write(local)
        with pytest.raises(StageFailed, match="not JSON"):
            local.commit(KEY, receipt_of(metrics=metrics))
        assert not local.has(KEY)


def test_a_link_in_a_result_is_refused(local: Store, tmp_path: Path) -> None:
    write(local)
    (local.scratch(KEY).out / "link").symlink_to(tmp_path)
    with pytest.raises(StageFailed, match="not a plain file"):
        local.commit(KEY, receipt_of())


@given(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**6), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_no_flipped_bit_of_a_receipt_goes_unseen(name: str, metric: float, place: int, bit: int) -> None:
    receipt = receipt_of(name=name, metrics={"m": metric}, files={"a/b": {"sha256": "0" * 64, "bytes": 3}})
    raw = bytearray(sealed(receipt))
    assert unsealed(bytes(raw), KEY) == receipt
    raw[place % len(raw)] ^= 1 << bit
    with pytest.raises((StageFailed, BadInput)):
        unsealed(bytes(raw), KEY)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../b", "a\\b", ""])
def test_a_receipt_cannot_name_a_file_outside_its_result(name: str) -> None:
    raw = sealed(receipt_of(files={name: {"sha256": "0" * 64, "bytes": 0}}))
    with pytest.raises(BadInput, match="inside a result"):
        unsealed(raw, KEY)


# ---- opening


def test_a_store_that_is_not_there_is_empty_and_stays_that_way(tmp_path: Path) -> None:
    for url in (str(tmp_path / "none"), "memory://none"):
        store = Store.open(url, create=False, local_root=tmp_path / "local")
        assert not store.has(KEY)
        assert list(store.keys()) == []
        assert store.verify() == []
        assert store.gc([]).bytes_freed == 0
        store.log_path(KEY)
    assert list(tmp_path.iterdir()) == []


def test_every_path_of_a_run_lies_where_the_store_says(local: Store) -> None:
    root = Path(local.url)
    assert json.loads((root / "store.json").read_text())["format"] == 1
    assert local.log_path(KEY) == root / "logs" / f"{KEY}.log"
    for folder in (local.tensorboard, local.reports, local.logs):
        assert folder.is_dir()


def test_a_relative_path_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store.open("runs/store").url == str(tmp_path / "runs" / "store")


@pytest.mark.parametrize(
    "stamp, message",
    [('{"format": 99}', "format 99"), ("{}", "which format"), ("not json", "which format"), ("[]", "which")],
)
def test_a_store_of_another_format_is_refused(tmp_path: Path, stamp: str, message: str) -> None:
    (tmp_path / "store.json").write_text(stamp)
    for create in (True, False):
        with pytest.raises(BadInput, match=message) as caught:
            Store.open(tmp_path, create=create)
        assert caught.value.remedy


def test_an_unknown_protocol_is_bad_input() -> None:
    for url in ("nosuch://bucket/x", ""):
        with pytest.raises(BadInput) as caught:
            Store.open(url)
        assert caught.value.remedy


def test_a_password_in_a_url_is_never_printed(tmp_path: Path) -> None:
    store = Store.open("memory://user:hunter2@host/store", create=False, local_root=tmp_path)
    for ask in (store.receipt, store.quarantine):
        with pytest.raises((StageFailed, BadInput)) as caught:
            ask(KEY)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(BadInput) as refused:
        Store.open("nosuch://user:hunter2@host/store")
    assert "hunter2" not in str(refused.value)


def test_a_place_that_cannot_be_a_folder_is_a_problem_with_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (tmp_path / "file" / "store", tmp_path / "file"):
        with pytest.raises(BadEnvironment) as caught:
            Store.open(url)
        assert str(tmp_path / "file") in caught.value.what
        assert caught.value.remedy


# ---- damage


def test_every_kind_of_damage_is_found_and_named(store: Store) -> None:
    put(store)
    put(store, OTHER)
    flipped = bytearray(FILES["model/weights.bin"])
    flipped[1000] ^= 1
    damage_file(store, "model/weights.bin", bytes(flipped))
    damage_file(store, "metrics.json", None)
    damage_file(store, "stray", b"x")
    told: list[tuple[int, int]] = []
    name = receipt_of().name
    assert set(store.verify(on_progress=lambda done, total: told.append((done, total)))) == {
        Damage(KEY, name, "model/weights.bin", "changed"),
        Damage(KEY, name, "metrics.json", "missing"),
        Damage(KEY, name, "stray", "extra"),
    }
    assert told == [(1, 2), (2, 2)]
    assert store.verify([OTHER]) == []
    assert store.has(KEY)  # verify changes nothing


def test_a_damaged_or_missing_receipt_is_found(store: Store) -> None:
    put(store)
    raw = store.files.read(f"{KEY[:2]}/{KEY}/receipt.json")
    damage_file(store, "receipt.json", raw.replace(b"0.5", b"0.9"))
    assert store.verify() == [Damage(KEY, "", "receipt.json", "unreadable receipt")]
    with pytest.raises(StageFailed, match="damaged"):
        store.receipt(KEY)
    damage_file(store, "receipt.json", raw[:100])
    assert store.verify() == [Damage(KEY, "", "receipt.json", "unreadable receipt")]
    damage_file(store, "receipt.json", None)
    assert store.verify() == [Damage(KEY, "", "", "no receipt")]
    assert store.verify([OTHER]) == [Damage(OTHER, "", "", "no receipt")]


def test_any_single_flipped_byte_is_found(local: Store) -> None:
    put(local)
    for name in ("metrics.json", "model/weights.bin", "receipt.json"):
        path = place(local) / name
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 25)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
            assert len(local.verify()) == 1
        path.write_bytes(whole)
    assert local.verify() == []


def test_a_damaged_result_is_set_aside_and_built_again(store: Store) -> None:
    put(store)
    store.path(KEY)
    damage_file(store, "metrics.json", b"x")
    aside = store.quarantine(KEY)
    assert aside.startswith(f"damaged/{KEY}-")
    assert store.files.read(f"{aside}/metrics.json") == b"x"
    assert not store.has(KEY)
    put(store)
    assert store.quarantine(KEY) != aside  # within the same second
    put(store)
    assert store.verify() == []
    assert contents(store.path(KEY)) == FILES
    with pytest.raises(BadInput, match="not in the store"):
        store.quarantine(OTHER)


def test_a_folder_without_receipt_does_not_stop_a_new_commit(store: Store) -> None:
    put(store)
    damage_file(store, "receipt.json", None)
    damage_file(store, "stray", b"x")
    put(store)
    assert store.verify() == []


def test_a_damaged_download_is_refused_and_a_result_built_again_replaces_the_cached_one(tmp_path: Path) -> None:
    store = Store.open("memory://damaged", local_root=tmp_path)
    put(store)
    damage_file(store, "metrics.json", b'{"accuracy": 0.9}')
    with pytest.raises(StageFailed, match=r"metrics\.json is not what was stored"):
        store.path(KEY)
    damage_file(store, "metrics.json", None)
    with pytest.raises(StageFailed, match=r"metrics\.json is missing"):
        store.path(KEY)
    assert not list((tmp_path / "cache").rglob("receipt.json"))
    damage_file(store, "metrics.json", FILES["metrics.json"])
    assert contents(store.path(KEY)) == FILES
    other = Store.open("memory://damaged", local_root=tmp_path / "another machine")
    other.delete(KEY)
    put(other, files={"new": b"1"})
    assert contents(store.path(KEY)) == {"new": b"1"}


# ---- garbage


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    for at in (path, *path.rglob("*")):
        os.utime(at, (then, then))


def test_gc_removes_what_nobody_keeps_and_a_dry_run_only_says_so(store: Store) -> None:
    for key in (KEY, OTHER):
        put(store, key)
        store.log_path(key).write_text("log")
    total = sum(map(len, FILES.values()))
    would = store.gc({OTHER}, dry_run=True)
    assert (would.results, would.scratch, would.logs) == ((KEY,), (), (KEY,))
    assert would.bytes_freed >= total + 3
    assert store.has(KEY)
    assert store.log_path(KEY).exists()
    assert store.gc({OTHER}) == would
    assert list(store.keys()) == [OTHER]
    assert not store.log_path(KEY).exists()
    assert store.log_path(OTHER).exists()
    assert store.verify() == []


def test_gc_spares_scratch_that_is_young_or_will_be_continued(store: Store) -> None:
    for key in (KEY, OTHER, THIRD):
        (store.scratch(key).work / "checkpoint").write_text("x")
    for key in (KEY, OTHER):
        age(store.scratch(key).work.parent, 90000)
    report = store.gc({KEY})
    assert report.scratch == (OTHER,)  # KEY is kept and unfinished, THIRD is young
    assert (store.scratch(KEY).work / "checkpoint").exists()
    assert (store.scratch(THIRD).work / "checkpoint").exists()


def test_gc_never_touches_what_a_live_lease_holds(store: Store) -> None:
    put(store)
    age(store.scratch(OTHER).work.parent, 90000)
    with Leases(store.files, Owner.here()) as driver:
        for key in (KEY, OTHER):
            assert driver.acquire(key) is not None
        assert store.gc([]) == store.gc([], dry_run=True)
        assert store.has(KEY)
        assert store._scratch_folder(OTHER).exists()
    report = store.gc([])
    assert (report.results, report.scratch) == ((KEY,), (OTHER,))


def test_deleting_is_final_and_deleting_nothing_is_fine(store: Store) -> None:
    put(store)
    store.path(KEY)
    for _ in range(2):
        store.delete(KEY)
        assert not store.has(KEY)
        assert store.verify() == []
    put(store)


# ---- crashes, races, full disks: real processes

CHILD = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.cluster.test_store import FILES, KEY, put, receipt_of, write
from cluster.errors import Problem
from cluster.store import Store
import cluster.publish, cluster.store
url, mode = sys.argv[1:]
"""

# where a commit may be struck: the function of the module that never returns
STRIKES = [
    ("cluster.publish", "file_sha256", False),
    ("cluster.publish", "sealed", False),
    ("cluster.publish", "write_durably", False),
    ("pathlib.Path", "rename", False),
    ("cluster.store", "remove_tree", True),  # published, and only the scratch is left behind
]

STRIKE = """
import pathlib
holder, name = mode.rsplit(".", 1)
holder = {"cluster.publish": cluster.publish, "cluster.store": cluster.store, "pathlib.Path": pathlib.Path}[holder]
store = Store.open(url)
write(store)
setattr(holder, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
store.commit(KEY, receipt_of())
"""


def run_child(script: str, url: Path | str, mode: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD + script, str(url), mode]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize("module, function, published", STRIKES)
def test_killed_in_the_middle_of_a_commit(tmp_path: Path, module: str, function: str, published: bool) -> None:
    done = run_child(STRIKE, tmp_path, f"{module}.{function}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = Store.open(tmp_path)
    assert store.has(KEY) is published
    assert store.verify() == []
    put(store)
    assert contents(store.path(KEY)) == FILES
    assert store.verify() == []
    assert not store._scratch_folder(KEY).exists()


FULL = """
import resource
store = Store.open(url)
write(store)
if mode == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
else:
    with open(Path(url) / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
try:
    store.commit(KEY, receipt_of())
    sys.exit("the commit went through")
except Problem as problem:
    print(problem.exit_code, problem)
assert not store.has(KEY)
assert list(store.keys()) == [] == store.verify()
if mode == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
else:
    (Path(url) / "filler").unlink()
store.commit(KEY, receipt_of())
assert store.verify() == [] and store.has(KEY)
print("continued")
"""


def expect_full(done: subprocess.CompletedProcess[str], url: Path) -> None:
    assert done.returncode == 0, done.stderr
    said, _, continued = done.stdout.strip().partition("\n")
    assert said.startswith("3 ")
    assert str(url) in said
    assert "MiB free" in said
    assert "finished work is kept, and the same command goes on" in said
    assert continued == "continued"


def test_a_file_size_limit_stops_a_commit_cleanly_and_it_continues_afterwards(tmp_path: Path) -> None:
    expect_full(run_child(FULL, tmp_path, "limit"), tmp_path)


def in_namespace(script: str, *arguments: str) -> list[str]:
    """A command line that runs `script` where it may mount, invisible to everybody else."""
    return ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", *arguments]


@pytest.fixture
def may_mount(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here, so no disk of our own to fill")
    probe = subprocess.run(in_namespace('mount -t tmpfs none "$1"', str(tmp_path)), capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {probe.stderr.decode().strip()}")


@pytest.mark.usefixtures("may_mount")
def test_a_full_disk_stops_a_commit_cleanly_and_it_continues_afterwards(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    command = in_namespace(script, str(tmp_path), sys.executable, "-c", CHILD + FULL, str(tmp_path), "disk")
    expect_full(subprocess.run(command, capture_output=True, text=True, timeout=60, check=False), tmp_path)


OPEN = """
try:
    Store.open(url)
except Problem as problem:
    print(problem.exit_code, problem)
"""


@pytest.mark.usefixtures("may_mount")
def test_a_read_only_disk_is_told_when_the_store_is_opened(tmp_path: Path) -> None:
    for made in (False, True):
        if made:
            Store.open(tmp_path)
        script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
        command = in_namespace(script, str(tmp_path), sys.executable, "-c", CHILD + OPEN, str(tmp_path), "")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.startswith("3 "), done.stderr
        assert "choose a folder you may write to" in done.stdout


def test_a_full_remote_store_keeps_no_half_result(tmp_path: Path) -> None:
    store = Store.open("memory://full", local_root=tmp_path)
    write(store)
    send = store.files.put
    sent: list[str] = []

    def full(source: Path, name: str) -> None:
        if sent:
            raise OSError(errno.ENOSPC, "No space left on device")
        sent.append(name)
        send(source, name)

    store.files.put = full  # type: ignore[method-assign]
    with pytest.raises(BadEnvironment, match="no room"):
        store.commit(KEY, receipt_of())
    assert not store.has(KEY)
    store.files.put = send  # type: ignore[method-assign]
    store.commit(KEY, receipt_of())
    assert store.verify() == []


def commit_one(url: str, start: Any, results: Any) -> None:
    """One of several committers of what lies in scratch: the files of the receipt it got, or why it got none."""
    try:
        store = Store.open(url)
        start.wait(30)
        results.put(store.commit(KEY, receipt_of()).files)
    except Exception:
        results.put(traceback.format_exc())


def test_of_several_committers_at_once_one_whole_result_is_left(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    store = Store.open(tmp_path)
    write(store)
    start, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=commit_one, args=(str(tmp_path), start, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    files = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert files == [store.receipt(KEY).files] * 3
    assert contents(store.path(KEY)) == FILES
    assert store.verify() == []


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["walk_files", "sync", "file_sha256", "sealed", "write_durably"])
@pytest.mark.parametrize("damaged", [False, True], ids=["free", "damaged folder in the way"])
def test_a_rival_that_commits_in_the_middle_of_ours_wins_and_we_return_its_receipt(
    local: Store, monkeypatch: pytest.MonkeyPatch, step: str, late: bool, damaged: bool
) -> None:
    """Every interleaving at the steps of a commit, one by one: races in time find these once in a hundred runs."""
    if damaged:
        put(local)
        damage_file(local, "receipt.json", None)
    write(local)
    original = getattr(cluster.publish, step)
    rivals: list[Receipt] = []

    def rival() -> None:
        if not rivals:
            monkeypatch.setattr(cluster.publish, step, original)
            rivals.append(Store.open(local.url).commit(KEY, receipt_of(name="rival")))

    def interrupted(*arguments: Any) -> Any:
        if not late:
            rival()
        value = original(*arguments)
        if late:
            rival()
        return value

    monkeypatch.setattr(cluster.publish, step, interrupted)
    assert local.commit(KEY, receipt_of()) == rivals[0]
    assert contents(local.path(KEY)) == FILES
    assert local.verify() == []


def test_a_result_published_while_we_clear_the_way_is_put_back(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(local)
    damage_file(local, "receipt.json", None)
    write(local)
    clear, rivals = local._clear_way, []

    def late(key: str) -> None:
        rivals.append(Store.open(local.url).commit(KEY, receipt_of(name="rival")))
        clear(key)

    monkeypatch.setattr(local, "_clear_way", late)
    assert local.commit(KEY, receipt_of()) == rivals[0]
    assert local.verify() == []


def test_committers_in_threads_leave_one_whole_result_each_time(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    for round_ in range(20):
        key = content_key(round_)
        write(store, key)
        start, ended = threading.Barrier(4), []

        def commit(key: str = key, start: threading.Barrier = start, ended: list[Receipt] = ended) -> None:
            start.wait()
            ended.append(store.commit(key, receipt_of(key)))

        threads = [threading.Thread(target=commit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ended) == 4
    assert store.verify() == []


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?", fullmatch=True), st.binary(max_size=64), max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_set_of_files_survives_the_round_trip(tmp_path: Path, files: dict[str, bytes]) -> None:
    files = {name: data for name, data in files.items() if not any(other.startswith(name + "/") for other in files)}
    for url in (str(tmp_path / "store"), "memory://any"):
        store = Store.open(url, local_root=tmp_path / "local")
        store.delete(KEY)
        put(store, files=files)
        assert contents(store.path(KEY)) == files
        assert store.verify() == []
