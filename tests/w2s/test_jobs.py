"""`w2s status`, `logs` and `cancel`: orders on a Slurm that says what we tell it, and local runs that really run."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.run_record import Place, Run, file_name, read_runs
from cluster.store import Store
from tests.conftest import ROOT
from tests.w2s.command import finish, process, w2s, write_recipe
from tests.w2s.fake_slurm import FakeSlurm, happened, placed, queued
from tests.w2s.test_bad_input import check
from w2s.commands import cancel, jobs_found, status

KEY = "ab" * 32


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm.on_path(tmp_path / "slurm", monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def journal(store: Path, identity: str, **changes: Any) -> Run:
    """A driver on another machine, heard of just now, half through one of its stages."""
    stage = {
        "key": KEY, "name": "toy/train tiny", "device": "cuda", "host": "w1", "since": time.time() - 20, "done": 45, "total": 100,
        "unit": "step", "scalars": {"train/loss": 0.3125, "train/lr": 0.1},
    }  # fmt: skip
    run = Run(
        id=identity, recipe="toy", argv=("run", "toy.yaml"), state="running", owner={"host": "w1", "pid": 77, "user": "me"},
        started=time.time() - 50, updated=time.time(), stages={"total": 12, "cached": 2, "done": 3, "failed": 0},
        running=(stage,), eta_s=200.0,
    )  # fmt: skip
    run = dataclasses.replace(run, **changes)
    Store.open(store).files.replace(file_name(identity), run.to_bytes())
    return run


def of(store: Path, *arguments: str | Path) -> Any:
    done = w2s("status", *arguments, "--store", store, "--json")
    assert done.code == 0, done.err
    return done.json


# ---- status


def test_an_empty_store(store: Path) -> None:
    assert w2s("status", "--store", store).out == "no jobs\n"
    assert of(store) == {"store": str(store), "jobs": [], "older": 0, "notes": []}
    assert not store.exists()


def test_all_jobs_newest_first(store: Path, slurm: FakeSlurm) -> None:
    placed(store, "toy-1.1", "41", ["toy"], ago_s=600)
    placed(store, "toy-1.2", "42", ["seed 0", "seed 1"])
    slurm.says(
        "queue",
        queued("toy-1.1", "N/A", "PENDING", reason="Priority"),
        queued("toy-1.2", "0", "RUNNING", nodes="w[1-2]"),
        queued("toy-1.2", "1", "PENDING", reason="Resources"),
    )
    journal(store, "toy-1.2.0.0", order=Place("toy-1.2", 0, 0))
    journal(store, "20200101-000000-aaaa", started=time.time() - 10)
    journal(store, "20200101-000000-bbbb", state="done", updated=time.time() - 90_000, exit_code=0)
    told = of(store)
    assert [(one["id"], one["system"], one["state"]) for one in told["jobs"]] == [
        ("20200101-000000-aaaa", "local", "running"), ("toy-1.2", "slurm", "running"), ("toy-1.1", "slurm", "pending"),
    ]  # fmt: skip
    assert told["older"] == 1
    assert len(of(store, "--all")["jobs"]) == 4
    array = told["jobs"][1]
    assert (array["handle"], array["stages"], array["eta_s"]) == (
        "42",
        {"total": 12, "cached": 2, "done": 3, "failed": 0},
        200.0,
    )
    assert [one["nodes"] for one in array["elements"]] == [["w1", "w2"], []]
    shown = w2s("status", "--store", store).out
    for words in (
        "slurm 42",
        "1 running, 1 pending",
        "5/12",
        "toy/train tiny 45%, loss 0.312",
        "~3:20",
        "w1, w2",
        "local pid 77 on w1",
    ):
        assert words in shown
    (waits,) = [line for line in shown.splitlines() if line.startswith("toy-1.1")]
    assert array["elements"][1]["why"], "why it waits is said"
    assert told["jobs"][2]["elements"][0]["why"][:40] in waits


@pytest.mark.parametrize("text", ["toy-1.1", "41", "41_1", "toy"])
def test_a_job_in_detail_by_any_of_its_names(text: str, store: Path, slurm: FakeSlurm, tmp_path: Path) -> None:
    order = placed(store, "toy-1.1", "41", ["seed 0", "seed 1"])
    slurm.says(
        "queue", queued("toy-1.1", "0", "RUNNING", nodes="w1"), queued("toy-1.1", "1", "FAILED", code=str(3 << 8))
    )
    happened(order, 1, {"what": "begun", "nodes": ["w3"]}, {"what": "ended", "exit_code": 3, "detail": "no disk"})
    failure = {
        "key": KEY,
        "name": "toy/rows",
        "error": {"error": "StageFailed", "where": "rows", "what": "are odd", "remedy": ""},
    }
    journal(store, "toy-1.1.0.0", order=Place("toy-1.1", 0, 0))
    journal(
        store, "toy-1.1.1.0", order=Place("toy-1.1", 1, 0), state="failed", exit_code=3, running=(), failures=(failure,),
        problem={"error": "BadEnvironment", "where": "disk", "what": "is full", "remedy": ""},
    )  # fmt: skip
    (Path(order.folder) / "out" / "41_1.out").touch()
    shown = w2s("status", text, "--store", store, cwd=tmp_path).out
    for words in (
        "toy-1.1: 1 running, 1 failed; slurm 41", "element 0 (seed 0): running, on w1", "1:00:00 until its time limit",
        "toy/train tiny 45%, loss 0.312 (cuda, w1)", "element 1 (seed 1): failed, exit code 3, on w3", "failed: disk: is full",
        "failed: toy/rows: rows: are odd", f"log: {store}/logs/{KEY}.log", "attempt 1: begun", "ended with 3", "(no disk)",
        "out/41_1.out",
    ):  # fmt: skip
        assert words in shown
    told = of(store, text)
    assert [one["state"] for one in told["elements"]] == ["running", "failed"]
    assert told["elements"][1]["attempts"][1]["detail"] == "no disk"


def test_json_has_the_same_fields_for_every_kind_of_job(store: Path, slurm: FakeSlurm) -> None:
    placed(store, "toy-1.1", "41", ["toy"])
    slurm.says("queue", queued("toy-1.1", "N/A", "PENDING", reason="Priority"))
    journal(store, "by-hand")
    told = of(store)["jobs"]
    fields = {
        "id", "system", "handle", "where", "recipe", "state", "over", "since", "ended", "stages", "eta_s", "notes", "elements",
    }  # fmt: skip
    element = {
        "number", "names", "state", "told", "why", "nodes", "started", "ended", "time_left_s", "restarts", "exit_code", "eta_s",
        "drivers", "attempts", "output",
    }  # fmt: skip
    for one in told:
        assert set(one) == fields
        assert set(one["elements"][0]) == element
        assert set(of(store, one["id"])) == fields | {"store"}


def test_where_slurm_cannot_be_asked_the_records_speak(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    placed(store, "toy-1.1", "41", ["toy"])
    order = placed(store, "toy-1.2", "42", ["toy"])
    placed(store, "toy-1.3", "x", ["toy"], backend="ray")
    journal(store, "toy-1.1.0.0", order=Place("toy-1.1", 0, 0))
    happened(order, 0, {"what": "begun"}, {"what": "ended", "exit_code": 0})
    monkeypatch.setattr(jobs_found, "ask", jobs_found.ask)
    told = {one["id"]: one for one in of(store)["jobs"]}
    assert {name: one["state"] for name, one in told.items()} == {
        "toy-1.1": "running",
        "toy-1.2": "done",
        "toy-1.3": "unknown",
    }
    why = told["toy-1.1"]["elements"][0]["why"]
    assert "squeue" in why or "Slurm" in why


def test_an_order_that_was_never_handed_over(store: Path, slurm: FakeSlurm) -> None:
    placed(store, "toy-1.1", "41", ["toy"])
    (store / "jobs" / "toy-1.1" / "placed.json").unlink()
    (told,) = of(store)["jobs"]
    assert (told["state"], told["handle"]) == ("unknown", "")
    assert "never handed over" in told["notes"][0]
    done = w2s("cancel", "toy-1.1", "--store", store)
    assert (done.code, "never handed over" in done.err) == (2, True)


DAMAGE: dict[str, bytes] = {
    "torn": b'{"format": 1, "id',
    "not_json": b"\xff\xfe",
    "a_list": b"[1]",
    "newer": b'{"format": 99}',
    "empty": b"",
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("file", ["order.json", "placed.json", "run"])
def test_damage_is_told_and_passed_over(name: str, file: str, store: Path, slurm: FakeSlurm) -> None:
    placed(store, "toy-1.1", "41", ["toy"])
    placed(store, "bad", "42", ["toy"])
    journal(store, "by-hand")
    where = store / ("runs/broken.json" if file == "run" else f"jobs/bad/{file}")
    where.write_bytes(DAMAGE[name])
    told = of(store)
    assert "toy-1.1" in [one["id"] for one in told["jobs"]]
    assert len(told["notes"]) == 1
    assert ("broken.json" if file == "run" else "jobs/bad") in told["notes"][0]
    done = w2s("status", "broken" if file == "run" else "bad", "--store", store)
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_a_recipe_shows_its_stages_and_the_jobs_at_it(store: Path, slurm: FakeSlurm, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    placed(store, "toy-1.1", "41", ["toy"])
    slurm.says("queue", queued("toy-1.1", "N/A", "PENDING", reason="Priority"))
    journal(store, "at-it")
    journal(store, "at-another", recipe="other")
    told = of(store, recipe)
    assert {stage["state"] for stage in told["stages"]} == {"missing"}
    assert {one["id"] for one in told["jobs"]} == {"toy-1.1", "at-it"}
    shown = w2s("status", recipe, "--store", store).out
    assert "toy: 22 missing" in shown
    assert "at-it" in shown


def test_follow_says_what_changes_and_ends(store: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "FOLLOW_S", 0.05)
    monkeypatch.setattr(jobs_found, "ASK_EVERY_S", 0.1)
    placed(store, "toy-1.1", "41", ["toy"])
    slurm.says("queue", queued("toy-1.1", "N/A", "PENDING", reason="Priority"))
    changes = [(0.5, "RUNNING"), (1.0, "COMPLETED")]
    clocks = [
        threading.Timer(after_s, slurm.says, ("queue", queued("toy-1.1", "N/A", state))) for after_s, state in changes
    ]
    for clock in clocks:
        clock.start()
    done = w2s("status", "41", "--follow", "--store", store)
    states = [line.split()[2] for line in done.out.splitlines()]
    assert states == ["pending", "running", "done"]
    assert len(w2s("status", "41", "--follow", "--json", "--store", store).out.splitlines()) == 1


# ---- logs


def test_logs_of_an_order(store: Path, slurm: FakeSlurm) -> None:
    order = placed(store, "toy-1.1", "41", ["seed 0", "seed 1"])
    done = w2s("logs", "41", "--store", store)
    assert (done.code, "has printed nothing yet" in done.err) == (2, True)
    for element in (0, 1):
        (Path(order.folder) / "out" / f"41_{element}.out").write_text(f"one\ntwo of {element}\n", encoding="utf-8")
    both = w2s("logs", "--store", store).out
    assert "two of 0" in both
    assert "two of 1" in both
    assert w2s("logs", "41", "--element", "1", "--lines", "1", "--store", store).out == "two of 1\n"
    assert "it has 0 to 1" in w2s("logs", "41", "--element", "2", "--store", store).err


def test_logs_follow_until_it_is_over(store: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_found, "ASK_EVERY_S", 0.1)
    order = placed(store, "toy-1.1", "41", ["toy"])
    slurm.says("queue", queued("toy-1.1", "N/A", "RUNNING"))
    file = Path(order.folder) / "out" / "41.out"
    file.write_text("begins\n", encoding="utf-8")

    def end() -> None:
        with open(file, "a", encoding="utf-8") as out:
            out.write("ends\n")
        slurm.says("queue", queued("toy-1.1", "N/A", "COMPLETED"))

    threading.Timer(0.4, end).start()
    assert w2s("logs", "41", "--follow", "--store", store).out == "begins\nends\n"


def test_logs_of_a_stage(store: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    stages = of(store, recipe)["stages"]
    Store.open(store)
    for stage in stages:
        text = f"--- {stage['name']} [{stage['key'][:12]}] 2030-01-01 00:00:00 on w1 pid 1\nsays {stage['key']}\n"
        (store / "logs" / f"{stage['key']}.log").write_text(text, encoding="utf-8")
    rows = next(stage for stage in stages if stage["name"] == "toy/rows")
    by_name = w2s("logs", recipe, "--stage", "toy/rows", "--lines", "1", "--store", store)
    assert by_name.out == f"says {rows['key']}\n"
    assert w2s("logs", recipe, "--stage", rows["key"][:8], "--lines", "1", "--store", store).out == by_name.out
    assert "give its key" in w2s("logs", recipe, "--stage", "train", "--store", store).err
    assert "has no log here" in w2s("logs", recipe, "--stage", "nonsense", "--store", store).err


def test_logs_of_what_failed_unasked_with_all_ranks(store: Path, tmp_path: Path) -> None:
    failure = {"key": KEY, "name": "toy/rows", "error": {}}
    journal(store, "failed-run", state="failed", failures=(failure,))
    (store / "logs" / f"{KEY}.log").write_text("rank 0 says\n", encoding="utf-8")
    (store / "logs" / f"{KEY}.rank1.log").write_text("rank 1 says\n", encoding="utf-8")
    for what in ("failed-run", str(write_recipe(tmp_path))):
        out = w2s("logs", what, "--store", store).out
        assert "rank 0 says" in out
        assert f"==> {store}/logs/{KEY}.rank1.log <==\nrank 1 says" in out


# ---- cancel


def test_cancel_of_an_order(store: Path, slurm: FakeSlurm) -> None:
    placed(store, "toy-1.1", "41", ["toy"])
    slurm.says("queue", queued("toy-1.1", "N/A", "RUNNING"))
    slurm.says("after", queued("toy-1.1", "N/A", "CANCELLED by 0"))
    done = w2s("cancel", "41", "--store", store)
    assert (done.code, done.out) == (0, "toy-1.1: cancelled\n")
    assert (slurm.folder / "scancelled").read_text().split()[-1] == "41"
    again = w2s("cancel", "toy-1.1", "--store", store, "--json")
    assert again.json == {"job": "toy-1.1", "asked": False, "state": "cancelled", "over": True}
    assert len((slurm.folder / "scancelled").read_text().splitlines()) == 1


def test_cancel_of_a_run_elsewhere_leaves_word(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "WAIT_S", 0.1)
    journal(store, "by-hand")
    done = w2s("cancel", "by-hand", "--store", store)
    assert (done.code, "was asked to save and leave" in done.out) == (0, True)
    assert (store / "runs" / "by-hand.stop").exists()


DRIVER = """
import signal, sys, time
from cluster.journal import Journal
from cluster.monitor import Monitor
from cluster.store import Store
signal.signal(signal.SIGTERM, signal.default_int_handler)
with Journal(Store.open(sys.argv[1]), 'toy', Monitor({})) as journal:
    journal.begin()
    time.sleep(60)
"""


@pytest.fixture
def driver(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a journal and no work, which leaves at SIGTERM."""
    started = subprocess.Popen([sys.executable, "-c", DRIVER, str(store)], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_until(lambda: bool(runs(store)))
    yield started
    started.kill()
    started.wait()


def test_cancel_of_a_run_here_signals_it(store: Path, driver: subprocess.Popen[bytes]) -> None:
    (told,) = of(store)["jobs"]
    assert (told["state"], told["handle"]) == ("running", f"pid {driver.pid}")
    assert "has saved and left" in w2s("cancel", told["id"], "--store", store).out
    assert [file.name for file in (store / "runs").iterdir()] == [f"{told['id']}.json"]


def test_a_killed_run_is_gone(store: Path, driver: subprocess.Popen[bytes]) -> None:
    assert [one["state"] for one in of(store)["jobs"]] == ["running"]
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (told,) = of(store)["jobs"]
    assert (told["state"], told["over"]) == ("gone", True)
    assert w2s("cancel", told["id"], "--store", store).out == f"{told['id']} is over already: gone\n"
    assert "ended without a word" in w2s("status", told["id"], "--store", store).out


def runs(store: Path) -> list[Run]:
    return read_runs(Store.open(store, create=False).files)


QUICK = """
import sys
from cluster import journal
journal.EVERY_S = 0.2
sys.argv = ["w2s", *sys.argv[1:]]
from w2s.cli import main
main()
"""


@pytest.mark.slow
def test_a_real_run_saves_and_leaves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Asked through the store alone, as from another machine."""
    recipe = write_recipe(tmp_path, strong__epochs=25, strong__evaluate="never", method={"kind": "naive"}, baselines=[])
    store = tmp_path / "store"
    arguments = ("run", recipe, "--store", store, "--pool", "inline", "--plain")
    driver = process(*arguments, code=QUICK)

    def trains() -> bool:
        return any("32x2" in stage["name"] and stage["done"] > 5 for run in runs(store) for stage in run.running)

    wait_until(trains, 60)
    (told,) = of(store)["jobs"]
    assert told["state"] == "running"
    (store / "runs" / f"{told['id']}.stop").touch()  # asked before, so no signal is sent now
    asked = w2s("cancel", told["id"], "--store", store)
    done = finish(driver)
    assert (done.code, asked.code) == (75, 0), done.err
    assert "has saved and left" in asked.out
    assert of(store, told["id"])["elements"][0]["exit_code"] == 75
    again = w2s(*arguments)
    assert again.code == 0, again.err
    assert "resumed at step" in "".join(file.read_text() for file in (store / "logs").glob("*.log"))
    assert [one["state"] for one in of(store)["jobs"]] == ["done", "stopped"]


# ---- bad input


BAD: dict[str, tuple[str, ...]] = {
    "unknown": ("status", "43"),
    "nearly_a_recipe": ("status", "quikstart"),
    "unknown_to_cancel": ("cancel", "43"),
    "ambiguous": ("logs", "toy-1"),
    "not_a_name": ("status", "$(ls)"),
    "no_such_recipe": ("status", "recipes/toi.yaml"),
    "override_of_a_job": ("status", "41", "seeds=3"),
    "override_alone": ("status", "seeds=3"),
    "no_such_element": ("logs", "41", "--element", "7"),
    "nothing_printed": ("logs", "41"),
    "no_such_stage": ("logs", "41", "--stage", "train"),
    "never_handed_over": ("cancel", "toy-1.3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, store: Path, slurm: FakeSlurm, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        placed(store, f"toy-1.{number}", f"4{number}", ["toy"], ago_s=60.0 - number)
    (store / "jobs" / "toy-1.3" / "placed.json").unlink()
    slurm.says("queue", queued("toy-1.1", "N/A", "PENDING", reason="Dependency"))
    done = w2s(*BAD[name], "--store", store)
    check(f"job_{name}", done, 2, tmp_path)
    assert done.out == ""
    assert len(done.err.splitlines()) == 1


def wait_until(true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
