"""The benches run, on tiny models in seconds, and print what they should. What they measure is not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, toy_recipe

pytestmark = pytest.mark.slow
LIMIT_S = 280


def bench(name: str, *arguments: str | Path) -> str:
    """`python bench/NAME.py ARGUMENTS`, as a user starts it; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", f"bench/{name}.py", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def recipe_file(folder: Path, **changes: Any) -> Path:
    file = folder / "toy.yaml"
    file.write_text(yaml.safe_dump(toy_recipe(**changes)))
    return file


@pytest.mark.soak
def test_train_compares_equal_work(tmp_path: Path) -> None:
    """Ours, Zero and the bare loop end at the same loss over the same tokens; Trainer gets about as far."""
    variants = ["ours", "zero2", "bare", "trainer-grouped"]
    options = ["--variants", *variants, "--steps", "4", "--warm-up", "2", "--repeats", "1", "--device", "cpu"]
    printed = bench("train", recipe_file(tmp_path), "strong.batch=8", *options, "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    rows = {row["variant"]: row for row in report["rows"]}
    assert list(rows) == variants
    assert (report["batch"], report["steps"]) == (8, 4)
    for name in ("zero2", "bare"):
        assert rows[name]["loss"] == pytest.approx(rows["ours"]["loss"], rel=1e-5)
        assert rows[name]["padding"] == rows["ours"]["padding"]
    assert rows["trainer-grouped"]["padding"] >= 0
    assert rows["trainer-grouped"]["loss"] == pytest.approx(rows["ours"]["loss"], rel=0.2)
    for row in rows.values():
        assert row["tokens_per_s"]["median"] > 0
        assert row["peak_bytes"] > 2**20
        assert row["variant"] in printed
    assert {row["variant"]: row["goal"] for row in rows.values() if row["goal"]} == {
        "bare": 0.95, "trainer-grouped": 1.05,
    }  # fmt: skip
    assert "matmul peak" in printed
    assert ">= 0.95" in printed


def test_train_says_what_it_cannot_compare(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, strong__batch_tokens=256)
    done = subprocess.run(
        [sys.executable, "bench/train.py", str(file), "--steps", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "strong.batch_tokens: Trainer counts rows, not tokens" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.soak
@pytest.mark.ray
def test_stages_times_every_kind_of_start(tmp_path: Path) -> None:
    printed = bench("stages", "--repeats", "1", "--json", tmp_path / "out.json")
    rows = {row["case"]: row for row in json.loads((tmp_path / "out.json").read_text())["rows"]}
    assert list(rows) == ["cold solo", "warm solo", "cold gang"]
    for name, row in rows.items():
        times = [row[moment]["median"] for moment in ("started", "first_step", "done")]
        assert times == sorted(times)
        assert times[0] > 0
        assert name in printed
    assert "< 1 s" in printed


@pytest.mark.soak
def test_tune_compares_a_search_with_separate_runs(tmp_path: Path) -> None:
    options = ["--trials", "2", "--separate", "1", "--epochs", "1", "--noop", "5", "--through-tune", "0"]
    printed = bench("tune", *options, "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    cost, (row,) = report["cost"], report["without_work"]
    assert 0 < cost["students_alone"] < cost["search"] < cost["separate"] * 2
    assert (row["trials"], row["how"]) == (5, "from a list")
    assert row["ms"] > 0
    assert "| search | " in printed
    assert "separate runs: 1 measured, for 2" in printed
    assert "| from a list | 5 | " in printed
