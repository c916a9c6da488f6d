"""offload: nvme. A folder of its own for every rank; refusal where DeepSpeed's disk kernel cannot be compiled; the same weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from cluster import surroundings
from cluster.errors import BadEnvironment
from cluster.job import Context
from cluster.zero import Zero
from tests.invariant.comparison import bitwise, distance, recipe, student, weights
from tests.w2s.work.gang import Case, run
from tests.w2s.work.run_stage import Bench, Ledger
from w2s.recipe import Recipe
from w2s.work.swap import swap_space
from w2s.work.zero import check_offload


def compiled() -> bool:
    """Whether DeepSpeed's disk kernel has been compiled against the torch that runs this: else the test would do it, in minutes."""
    builds = Path("~/.cache/torch_extensions").expanduser().glob("*/async_io/build.ninja")
    torch_here = str(Path(torch.__file__).parent)
    return any(torch_here in build.read_text() and build.with_name("async_io.so").exists() for build in builds)


def context(tmp_path: Path, **machines: Any) -> Context:
    return Context("key", "toy/train", {}, machines, {}, tmp_path, tmp_path, Ledger(), rank=1, ranks=2)


def test_each_rank_has_a_folder_of_its_own_while_it_trains(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "w2s-key-1" / "left").mkdir(parents=True)  # by an attempt that was killed
    (disk / "theirs").mkdir()
    with swap_space(context(tmp_path, offload="nvme", nvme_path=str(disk))) as own:
        folder = Path(own.machines["nvme_path"])
        assert folder == disk / "w2s-key-1"
        assert not list(folder.iterdir())
    assert [path.name for path in disk.iterdir()] == ["theirs"]


def test_nothing_is_made_where_nothing_is_offloaded_to_a_disk(tmp_path: Path) -> None:
    asked = context(tmp_path, offload="cpu", nvme_path=str(tmp_path / "disk"))
    with swap_space(asked) as own:
        assert own is asked
    assert not (tmp_path / "disk").exists()


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").touch()
    with (
        pytest.raises(BadEnvironment, match="no folder can be made there"),
        swap_space(context(tmp_path, offload="nvme", nvme_path=str(tmp_path / "disk"))),
    ):
        pass


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BadEnvironment, match=r"needs a C\+\+ compiler and ninja.* on every node") as caught:
        check_offload(Zero(3, "nvme", str(tmp_path)))
    assert "libaio-dev" in caught.value.remedy
    check_offload(Zero(3, "cpu"))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    surroundings.libaio() is None or not compiled(),
    reason="DeepSpeed's disk kernel (async_io) is not compiled here; the first gang with offload: nvme does that, in minutes",
)
def test_states_on_a_disk_change_no_bit(tmp_path: Path) -> None:
    """Wide enough that DeepSpeed really swaps (from a megabyte on); broken and mended as well; nothing left on the disk."""
    told = recipe(tmp_path, "confidence", strong__model={"source": "tiny:bert", "width": 512, "depth": 2})
    bench = Bench(Recipe.model_validate(told), tmp_path)
    stage = student(bench.recipe)
    bench.prepare(stage)
    bench.run(stage)
    disk = {"zero": 3, "micro_batch": 4, "offload": "nvme", "nvme_path": str(tmp_path / "disk")}
    cases = [
        Case("host", {**disk, "offload": "cpu"}),
        Case("disk", disk),
        Case("break", disk, stop_after=5, work="broken"),
        Case("mend", disk, work="broken"),
    ]
    found = run(tmp_path, told, stage.key, cases, ranks=2)
    assert bitwise(weights(found["disk"].out), weights(found["host"].out))
    assert bitwise(weights(found["mend"].out), weights(found["host"].out))
    assert distance(weights(found["disk"].out), weights(bench.out(stage)))[0] < 1e-5
    assert "Offloading to NVMe" in (tmp_path / "gang-2-0" / "rank0.log").read_text(), "DeepSpeed says when it swaps"
    assert not os.listdir(tmp_path / "disk")
