"""`w2s plan`: what each model needs on its machine, how `auto` decides, and that a wish that cannot be met is told in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.memory import Device
from tests.w2s.command import w2s, write_recipe
from tests.w2s.conftest import Finished
from w2s.fit import local_device, parse_bytes
from w2s.machines import Machine

STRONG: dict[str, Any] = {"source": "tiny:llama", "width": 1024, "depth": 24}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for this file: the same models are counted once."""
    monkeypatch.setenv("W2S_CACHE", str(tmp_path_factory.getbasetemp() / "plan-cache"))


def plan(folder: Path, *args: str, **changes: Any) -> Any:
    recipe = write_recipe(folder, strong__model=STRONG, strong__max_tokens=512, strong__batch=32, **changes)
    return w2s("plan", recipe, "--store", folder / "store", *args)


def test_every_model_has_its_sizes_and_its_memory_by_stage(tmp_path: Path) -> None:
    told = plan(tmp_path, "--json", "--device-memory", "80GB", machines={"strong": {"devices": 4}})
    assert told.code == 0, told.err
    weak, strong = told.json["models"]
    assert list(weak["fit"]["memory"]) == ["plain"]
    assert list(strong["fit"]["memory"]) == ["0", "1", "2", "3"]
    assert strong["sizes"]["parameters"] > 400e6
    assert (strong["fit"]["zero"], strong["fit"]["micro_batch"]) == (0, 8)
    assert strong["fit"]["device_bytes"] == 80e9
    trained = [stage for stage in told.json["stages"] if stage["model"] == 1 and stage["kind"] == "Train"]
    assert trained
    for stage in trained:
        work = stage["work"]
        assert work["steps"] > 0
        assert work["flops"] == pytest.approx(work["tokens"] * 6 * 403e6, rel=0.05)


def test_a_wish_that_cannot_be_met_is_told_and_plan_goes_on(tmp_path: Path) -> None:
    machines = {"strong": {"devices": 4, "zero": 0, "micro_batch": 8}}
    told = plan(tmp_path, "--device-memory", "10GB", machines=machines)
    assert told.code == 0, told.err
    assert "too much for 10.0 GB; set micro_batch: auto, zero: auto" in told.out
    told = plan(tmp_path, "--device-memory", "2GB", machines={"strong": {"devices": 4}})
    assert told.code == 0
    assert "none fits" in told.out
    assert "gradient_checkpointing: true" in told.out


def test_a_model_that_is_not_here_is_a_question_mark(tmp_path: Path) -> None:
    told = w2s("plan", write_recipe(tmp_path, strong__model="nobody/has-this"), "--store", tmp_path / "store")
    assert told.code == 0, told.err
    [line] = [line for line in told.out.splitlines() if line.startswith("has-this ")]
    assert line.count("?") >= 5


def test_a_receipt_of_the_same_model_gives_device_hours(finished: Finished) -> None:
    """A new seed of what was run: nothing is cached, but its speed is known; machines' devices share the work."""
    new = w2s("plan", finished.recipe, "seeds=[7]", "--store", finished.store, "--json").json
    hours = [stage["work"]["device_hours"] for stage in new["stages"] if stage["work"]]
    assert hours
    assert all(hour and 0 < hour < 1 for hour in hours)


@pytest.mark.parametrize(
    "written, count", [("80GB", 80e9), ("1.5 GiB", 1.5 * 2**30), ("512m", 512e6), ("100", 100), ("2tb", 2e12)]
)
def test_amounts_of_memory(written: str, count: float) -> None:
    assert parse_bytes(written) == count


@pytest.mark.parametrize("written", ["much", "-1GB", "0", "80XB", ""])
def test_a_bad_amount_of_memory_is_one_clear_line(tmp_path: Path, written: str) -> None:
    told = w2s("plan", write_recipe(tmp_path), "--store", tmp_path / "store", f"--device-memory={written}")
    assert told.code == 2
    assert "--device-memory" in told.err
    assert told.err.count("\n") == 1


def test_a_machine_gets_its_share() -> None:
    assert local_device(Machine(gpus=0.25), 80 * 10**9) == Device(20 * 10**9, gpu=True)
    alone, shared = local_device(Machine(gpus=0)), local_device(Machine(gpus=0, devices=4, nodes=2))
    assert not alone.gpu
    assert shared.bytes == alone.bytes // 2
