"""Whole runs: a gap recovered, a run killed and continued, stopped and continued, two at once, on Ray as in one process."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.w2s.command import Done, built, finish, process, receipts, w2s, write_recipe

NAIVE: dict[str, Any] = {"method": {"kind": "naive"}, "baselines": []}

# A supervisor that reads only the first 21 letters of each sentence, so the telling word is often cut off: then its labels
# are near one half, and a student that sees whole sentences learns from the rest. About 15 s on one core with two seeds.
SCHEDULE = {"kind": "cosine", "warmup": 0.1}
SHORT_SIGHTED: dict[str, Any] = {
    "task": {"kind": "toy", "size": 2000, "hard": 0.0, "n_test": 600},
    "weak": {
        "model": {"source": "tiny:bert", "width": 8, "depth": 1},
        "optim": {"lr": 2e-2},
        "epochs": 4,
        "batch": 16,
        "max_tokens": 23,
        "evaluate": "never",
    },
    "strong": {
        "model": {"source": "tiny:bert", "width": 32, "depth": 1},
        "optim": {"lr": 4e-3},
        "schedule": SCHEDULE,
        "epochs": 5,
        "batch": 16,
        "max_tokens": 64,
        "evaluate": "never",
    },
    "method": {"kind": "confidence", "alpha": 0.25, "warmup": 0.5},
    "baselines": [{"kind": "naive"}],
    "seeds": [0, 1],
}


def run(recipe: Path, store: Path, *more: str) -> Done:
    return w2s("run", recipe, "--store", store, "--pool", "inline", *more)


def started(recipe: Path, store: Path) -> subprocess.Popen[str]:
    return process("run", recipe, "--store", store, "--pool", "inline", "--plain")


def wait_for(running: subprocess.Popen[str], words: str, times: int = 1) -> list[str]:
    """Read what a run says until some words were said so many times."""
    assert running.stderr is not None
    lines: list[str] = []
    for line in running.stderr:
        lines.append(line)
        times -= words in line
        if times <= 0:
            return lines
    raise AssertionError(f"'{words}' was not said: {lines}")


def report(store: Path, name: str = "toy") -> Any:
    return json.loads(next((store / "reports").glob(f"{name}-*/report.json")).read_text(encoding="utf-8"))


def outputs(store: Path) -> dict[str, dict[str, str]]:
    """The digest of every file of every result."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in store.glob("??/*/receipt.json")]
    return {receipt["key"]: {name: facts["sha256"] for name, facts in receipt["files"].items()} for receipt in found}


@pytest.mark.slow
def test_a_gap_is_recovered(tmp_path: Path) -> None:
    """floor < transfer < ceiling by a clear margin, and PGR is given with its interval."""
    recipe, store = write_recipe(tmp_path, **SHORT_SIGHTED), tmp_path / "store"
    done = run(recipe, store)
    assert done.code == 0, done.err
    for row in report(store)["rows"]:
        floor, transfer, ceiling = (row[side]["mean"] for side in ("floor", "transfer", "ceiling"))
        assert 0.6 < floor < transfer < ceiling
        assert ceiling - floor > 0.15
        assert 0 < row["pgr"]["mean"] < 1
        assert row["pgr"]["low"] <= row["pgr"]["mean"] <= row["pgr"]["high"]
        assert row["seeds"] == [0, 1]
        low, high = (f"{row['pgr'][end]:.2f}" for end in ("low", "high"))
        assert f"{row['pgr']['mean']:.2f} [{low}, {high}]" in done.out
    cut = [
        r["metrics"]["truncated"]
        for r in receipt_files(store)
        if "train tiny-bert-8x1" in r["name"] and r["kind"] == "Train"
    ]
    assert len(cut) == 2
    assert min(cut) > 0, "that the supervisor is short-sighted stands in its receipt"


def receipt_files(store: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in store.glob("??/*/receipt.json")]


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, **NAIVE)
    assert run(recipe, tmp_path / "one").code == run(recipe, tmp_path / "two").code == 0
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")
    assert report(tmp_path / "one") == report(tmp_path / "two")


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_from_there(tmp_path: Path) -> None:
    """SIGKILL twice, at moments drawn anew each time: what was finished is not built again, and the report is the same."""
    recipe, store = write_recipe(tmp_path, **NAIVE), tmp_path / "store"
    draw = random.SystemRandom()
    moments = []
    for _ in range(2):
        running = started(recipe, store)
        moments.append((draw.randrange(1, 5), draw.uniform(0, 0.4)))
        wait_for(running, " started ", moments[-1][0])
        time.sleep(moments[-1][1])
        whole = receipts(store)
        running.kill()
        finish(running)
        assert whole.items() <= receipts(store).items()
    kept = receipts(store)
    done = run(recipe, store)
    assert done.code == 0, (moments, done.err)
    assert kept.items() <= receipts(store).items(), moments
    begun = Counter(built(store))
    assert len(begun) == 12
    assert sum(begun.values()) - len(begun) <= 2, f"each kill costs at most the stage it met: {moments}, {begun}"
    assert run(recipe, tmp_path / "undisturbed").code == 0
    assert report(store) == report(tmp_path / "undisturbed"), moments
    assert outputs(store) == outputs(tmp_path / "undisturbed"), moments
    assert w2s("verify", "--store", store).code == 0


LONG: dict[str, Any] = {**NAIVE, "strong__epochs": 20}


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Exit 75; the stage that was running goes on from its step, and ends with the bytes of an undisturbed run."""
    recipe, store = write_recipe(tmp_path, **LONG), tmp_path / "store"
    running = started(recipe, store)
    wait_for(running, "started  toy/train tiny-bert-32x2")
    time.sleep(0.3)  # some steps into it
    running.send_signal(signal.SIGINT)
    stopped = finish(running)
    assert stopped.code == 75, stopped.err
    assert "stopping: running stages save where they are" in stopped.err
    assert stopped.err.splitlines()[-1] == "stopped before the end; the same command goes on from here"
    assert "Traceback" not in stopped.err
    kept = receipts(store)
    done = run(recipe, store)
    assert done.code == 0, done.err
    assert kept.items() <= receipts(store).items()
    logs = [log.read_text(encoding="utf-8") for log in (store / "logs").glob("*.log")]
    assert sum("resumed at step" in log for log in logs) == 1
    assert run(recipe, tmp_path / "undisturbed").code == 0
    assert outputs(store) == outputs(tmp_path / "undisturbed")


def test_asked_twice_it_leaves_at_once(tmp_path: Path) -> None:
    """As a terminal or Slurm may do: SIGTERM, then Ctrl-C."""
    recipe, store = write_recipe(tmp_path, **LONG), tmp_path / "store"
    running = started(recipe, store)
    wait_for(running, "started  toy/train tiny-bert-8x1")
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGINT)
    stopped = finish(running)
    assert stopped.code == 75, stopped.err
    assert "Traceback" not in stopped.err


def test_two_runs_at_once_share_the_work(tmp_path: Path) -> None:
    """Each stage is built once in total, and both runs end with the same report."""
    recipe, store = write_recipe(tmp_path, **NAIVE), tmp_path / "store"
    both = [started(recipe, store) for _ in range(2)]
    ended = [finish(running) for running in both]
    assert [done.code for done in ended] == [0, 0], [done.err for done in ended]
    begun = Counter(built(store))
    assert len(begun) == 12
    assert set(begun.values()) == {1}
    run_here = [int(done.out.split(" stages run")[0].rsplit("\n", 1)[-1]) for done in ended]
    assert sum(run_here) == 12
    tables = [done.out.partition("stages run")[0].rpartition("\n")[0] for done in ended]
    assert tables[0] == tables[1]


@pytest.mark.ray
@pytest.mark.slow
def test_ray_and_inline_give_the_same_bytes(tmp_path: Path) -> None:
    """Models, labels and grades: whether worker processes side by side made them, or one after the other."""
    recipe = write_recipe(tmp_path, **NAIVE, weak__evaluate="epoch")
    on_ray = finish(process("run", recipe, "--store", tmp_path / "ray", "--plain"))
    assert on_ray.code == 0, on_ray.err
    assert run(recipe, tmp_path / "inline").code == 0
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "inline")
    assert report(tmp_path / "ray") == report(tmp_path / "inline")
