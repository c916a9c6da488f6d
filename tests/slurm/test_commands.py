"""Orders at a real Slurm: placed, looked at while they wait, run and end, and cancelled; awkward names arrive as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import BadInput
from cluster.submit import slurm as batch
from cluster.submit.order import Command, Order, Size
from cluster.submit.site import Site
from tests.slurm.box import Slurm

CHIEF = """#!/bin/bash
printf '%s\\n' "$VALUE" "$PWD" "${!#}" >> value
touch begun-${SLURM_ARRAY_TASK_ID:-0}
until [ -e go-on ]; do sleep 0.1; done
exit ${SLURM_ARRAY_TASK_ID:-3}
"""
HOSTILE = "$(touch X) `touch X` \" ' \\ é弱 # %j"
pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A Python that only waits for a file: the batch script is what is tried here."""
    fake = tmp_path / "python"
    fake.write_text(CHIEF)
    fake.chmod(0o755)
    return Site(python=str(fake), exclusive=False)


def order(folder: Path, name: str, elements: int = 1) -> Order:
    home = folder / "st'o \"re %j #é" / name
    home.mkdir(parents=True)
    packs = ((Command(name, ("-m", "w2s")),),) * elements
    size = Size(memory_mib=100, time_s=600)
    return Order(name, "slurm", str(home), str(folder), HOSTILE, packs, size=size, environment={"VALUE": HOSTILE})


def test_an_order_runs_and_ends_with_its_exit_code(slurm: Slurm, tmp_path: Path, site: Site) -> None:
    mine = order(tmp_path, "plain.1")
    home = Path(mine.folder)
    assert "to start at" in batch.test_only(batch.script(mine, site))
    placed = batch.submit(mine, site)
    slurm.until((home / "begun-0").exists, 30, "the script runs")
    (running,) = batch.look(mine, placed)
    assert (running.state, len(running.nodes), running.restarts) == ("running", 1, 0)
    assert running.time_left_s is not None
    assert 500 < running.time_left_s <= 600
    (home / "go-on").touch()
    slurm.until(lambda: batch.look(mine, placed)[0].over, 30, "it is over")
    (failed,) = batch.look(mine, placed)
    assert (failed.state, failed.exit_code, failed.why) == ("failed", 3, "exit code 3")
    assert (home / "value").read_text().splitlines() == [HOSTILE, str(home), str(home)]
    assert [file.name for file in (home / "out").iterdir()] == [f"{placed.handle}.out"]
    assert not list(tmp_path.rglob("X"))


def test_elements_wait_for_one_another_and_are_cancelled(slurm: Slurm, tmp_path: Path, site: Site) -> None:
    mine = replace(order(tmp_path, "array.1", 3), throttle=1)
    home = Path(mine.folder)
    placed = batch.submit(mine, site)
    slurm.until((home / "begun-0").exists, 30, "the first element runs")
    running, *waiting = batch.look(mine, placed)
    assert running.state == "running"
    assert {live.state for live in waiting} == {"pending"}
    assert all("--throttle" in live.why for live in waiting)
    batch.cancel(replace(mine, id="anothers.1"), placed)  # the same number under another name is not ours to end
    assert batch.look(mine, placed)[0].state == "running"
    batch.cancel(mine, placed)
    slurm.until(lambda: all(live.over for live in batch.look(mine, placed)), 30, "all are over")
    assert [live.state for live in batch.look(mine, placed)] == ["cancelled"] * 3
    batch.cancel(mine, placed)
    assert [file.name for file in (home / "out").iterdir()] == [f"{placed.handle}_0.out"]


@pytest.mark.parametrize(("field", "value"), [("partition", "nowhere"), ("gpu_type", "h100"), ("reservation", "none")])
def test_what_the_cluster_does_not_have_is_refused_in_words(
    slurm: Slurm, tmp_path: Path, site: Site, field: str, value: str
) -> None:
    mine = replace(order(tmp_path, "refused.1"), size=Size(gpus=1, memory_mib=100, time_s=600))
    wrong = replace(site, **{field: value})
    for ask in (lambda: batch.test_only(batch.script(mine, wrong)), lambda: batch.submit(mine, wrong)):
        with pytest.raises(BadInput, match=r"Slurm refuses the job: .*; .*(site file|sinfo)"):
            ask()
