"""doctor --slurm on a real Slurm: what it finds, with a site file that fits and one that does not, and from two of its nodes."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.box import Slurm
from tests.w2s.command import w2s


def test_a_real_slurm_is_examined(slurm: Slurm, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("partition: high\ngpus_per_node: 2\ntime_limit: 30m\n")
    told = w2s("doctor", "--slurm", "--probe", "--site", site, "--store", tmp_path / "store", "--json")
    assert told.code == 0, told.out
    checks = {check["name"]: check for check in told.json["checks"]}
    assert "slurmctld(primary)" in checks["controller"]["found"].lower()
    assert "2 CPUs, 4000 MiB, 2 GPUs; at most 1h" in checks["partition high"]["found"]
    assert checks["pre-emption"]["found"] == "PreemptMode=REQUEUE, with notice to the job"
    assert checks["accounting"]["found"].startswith("off")
    assert checks["store on nodes"]["found"].endswith("see it and can write")
    assert checks["ports between nodes"]["found"].endswith("reach each other")
    assert checks["clocks"]["state"] == "ok"
    assert not (tmp_path / "store").exists()
    site.write_text("partition: hihg\naccount: nobody\n")
    told = w2s("doctor", "--slurm", "--site", site, "--store", tmp_path / "store")
    assert told.code == 3
    assert "did you mean 'high'?" in told.out
