"""`w2s submit` on a real Slurm, as users do it: submitted, watched, read, over, and its table in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slurm.box import Slurm
from tests.w2s.command import w2s, write_recipe

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SITE = "partition: low\nexclusive: false\ncpus_per_node: 2\nmemory_per_node: 3000MiB\ntime_limit: 20m\ngrace: 15s\n"


def test_a_recipe_goes_through_slurm(slurm: Slurm, tmp_path: Path) -> None:
    site, store = tmp_path / "site.yaml", tmp_path / "store"
    site.write_text(SITE)
    recipe = write_recipe(tmp_path, method={"kind": "naive"}, baselines=[])
    asked = w2s("submit", recipe, "--site", site, "--store", store, "--check")
    assert asked.code == 0, asked.out
    assert "Slurm would take it, to start at" in asked.out

    told = w2s("submit", recipe, "--site", site, "--store", store, "--json")
    assert told.code == 0, told.err
    identity, job = told.json["id"], told.json["handle"]
    again = w2s("submit", recipe, "--site", site, "--store", store, "--json").json
    assert (again["id"], again["attached"]) == (identity, True)

    followed = w2s("status", job, "--store", store, "--follow", "--json")  # by Slurm's number; until it is over
    assert followed.code == 0, followed.err
    facts = slurm.wait_for(job, "COMPLETED", "FAILED")
    printed = w2s("logs", identity, "--store", store, "--lines", "0")
    assert facts["ExitCode"] == "0:0", printed.out
    assert "w2s: Ray is up at" in printed.out
    assert "PGR" in printed.out
    seen = w2s("status", identity[:-3], "--store", store)
    assert f"slurm {job}" in seen.out
    assert "done" in seen.out
    stages = w2s("status", recipe, "--store", store, "--json").json["stages"]
    assert {stage["state"] for stage in stages} == {"done"}
    ended = w2s("cancel", identity, "--store", store)
    assert (ended.code, "is over already" in ended.out) == (0, True), ended
