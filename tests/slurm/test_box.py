"""The box itself: GPUs are handed out, dead nodes are seen, and two boxes live side by side."""

from __future__ import annotations

from pathlib import Path

from tests.slurm import box
from tests.slurm.box import Slurm


def test_a_job_runs_on_two_nodes_and_has_their_gpus(slurm: Slurm, tmp_path: Path) -> None:
    script = f"#!/bin/sh\nsrun --export=ALL --overlap -n2 -N2 sh -c 'echo $SLURMD_NODENAME $SLURM_GPUS_ON_NODE' > {tmp_path}/out\n"
    job = slurm.sbatch(script, "--nodes=2", "--gpus-per-node=1", "--output=/dev/null", "--export=NONE")
    assert slurm.wait_for(job, "COMPLETED", "FAILED")["ExitCode"] == "0:0"
    nodes = [line.split() for line in (tmp_path / "out").read_text().splitlines()]
    assert len({name for name, _ in nodes}) == 2
    assert [gpus for _, gpus in nodes] == ["1", "1"]


def test_two_boxes_live_side_by_side(slurm: Slurm) -> None:
    other = box.start()
    try:
        assert other.all_up()
        assert slurm.all_up()
        assert other.sbatch("#!/bin/sh\nexec sleep 60\n", "--output=/dev/null") == "1"
        other.wait_for("1", "RUNNING")
    finally:
        other.stop()
    assert not other.folder.exists()
    assert not any(daemon.poll() is None for daemon in other.daemons.values())
