"""`w2s submit` as users call it, with a scripted Slurm: what is laid out, what is handed over, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.store import Store
from cluster.submit.handover import record
from tests.w2s.command import w2s, write_recipe
from tests.w2s.fake_slurm import FakeSlurm, queued

SBATCH = """#!/bin/sh
if [ "$1" = "--test-only" ]; then cat > "{folder}/tested"; cat "{folder}/test-only" >&2; exit $(cat "{folder}/test-code"); fi
echo "$@" >> "{folder}/handed"
cat "{folder}/refusal" >&2
exec cat "{folder}/number"
"""
GPU_RECIPE = {"machines": {"strong": {"devices": 16, "nodes": 2}}}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("W2S_SITE", raising=False)
    found = FakeSlurm.on_path(tmp_path / "slurm", monkeypatch)
    (found.folder / "sbatch").write_text(SBATCH.format(folder=found.folder))
    (found.folder / "sbatch").chmod(0o755)
    found.says("number", "4711")
    found.says("refusal")
    found.says(
        "test-only", "sbatch: Job 7 to start at 2030-01-01T00:00:00 using 2 processors on nodes w1 in partition low"
    )
    found.says("test-code", "0")
    return found


def handed(fake: FakeSlurm) -> list[str]:
    file = fake.folder / "handed"
    return file.read_text().splitlines() if file.exists() else []


def test_an_order_is_laid_out_handed_over_and_recorded(fake: FakeSlurm, tmp_path: Path) -> None:
    store = tmp_path / "store"
    told = w2s("submit", write_recipe(tmp_path), "--store", store, "--time", "2h", "--json")
    assert told.code == 0, told.err
    facts = told.json
    assert (facts["handle"], facts["attached"], facts["size"]["time_s"]) == ("4711", False, 7200)
    folder = Path(facts["folder"])
    assert handed(fake) == [f"--parsable {folder}/run.sbatch"]
    assert folder.stat().st_mode & 0o077 == 0, "its tokens and logs are the user's own"
    assert {path.name for path in folder.iterdir()} == {
        "order.json",
        "placed.json",
        "site.json",
        "recipes",
        "run.sbatch",
        "out",
    }
    order, placed = record(Store.open(store), facts["id"])
    assert placed is not None
    assert placed.handle == "4711"
    (((command,),), size) = (order.elements, order.size)
    assert command.argv[:3] == ("-m", "w2s", "run")
    assert size.time_s == 7200
    copy = w2s("check", command.argv[3])
    assert copy.code == 0, copy.err


def test_people_are_told_how_to_watch_it(fake: FakeSlurm, tmp_path: Path) -> None:
    told = w2s("submit", write_recipe(tmp_path), "--store", tmp_path / "store")
    assert "is submitted as Slurm job 4711: 1 node with 1 core, for 24:00:00" in told.out
    assert "status toy-" in told.out
    assert f"--store {tmp_path}/store" in told.out


def test_the_same_work_is_not_submitted_twice(fake: FakeSlurm, tmp_path: Path) -> None:
    argv = ["submit", write_recipe(tmp_path), "--store", tmp_path / "store"]
    first = w2s(*argv, "--json").json
    fake.says("queue", queued(first["id"], "N/A", "PENDING", reason="Priority"))
    again = w2s(*argv, "--json").json
    assert (again["id"], again["attached"]) == (first["id"], True)
    assert len(handed(fake)) == 1
    assert "nothing new was submitted; --again submits it once more" in w2s(*argv).out
    forced = w2s(*argv, "--again", "--json").json
    assert forced["id"] == first["id"].removesuffix(".1") + ".2"
    assert len(handed(fake)) == 2


def test_what_has_ended_may_be_submitted_again(fake: FakeSlurm, tmp_path: Path) -> None:
    argv = ["submit", write_recipe(tmp_path), "--store", tmp_path / "store", "--json"]
    first = w2s(*argv).json
    fake.says("queue", queued(first["id"], "N/A", "COMPLETED"))
    assert w2s(*argv).json["id"].endswith(".2")
    other = w2s(*argv, "method.alpha=0.1").json
    assert other["id"].endswith(".1"), "other science is other work"


def test_a_refused_order_leaves_nothing(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.says(
        "refusal",
        "sbatch: error: invalid partition specified: gpu",
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
    )
    (fake.folder / "sbatch").write_text((fake.folder / "sbatch").read_text().replace("exec cat", "exit 1; cat"))
    told = w2s("submit", write_recipe(tmp_path), "--store", tmp_path / "store")
    assert told.code == 2
    assert told.err.strip().endswith("set partition in the site file; `sinfo -s` lists them")
    assert list((tmp_path / "store" / "jobs").iterdir()) == []


def test_an_order_without_an_answer_keeps_its_folder(fake: FakeSlurm, tmp_path: Path) -> None:
    """It may be queued all the same, and would find nothing to run."""
    fake.says("number", "what?")
    told = w2s("submit", write_recipe(tmp_path), "--store", tmp_path / "store")
    assert told.code == 3
    (folder,) = (tmp_path / "store" / "jobs").iterdir()
    assert (folder / "order.json").is_file()


def test_dry_run_prints_the_script_and_makes_nothing(fake: FakeSlurm, tmp_path: Path) -> None:
    told = w2s(
        "submit", write_recipe(tmp_path), "--store", tmp_path / "store", "--dry-run", "--dependency", "afterok:12"
    )
    assert told.code == 0
    assert told.out.startswith("#!/bin/bash")
    assert "#SBATCH --dependency=afterok:12" in told.out
    assert not (tmp_path / "store").exists()
    assert handed(fake) == []


def test_the_site_file_fills_it_in(fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        f"partition: gpu\ngpus_per_node: 8\ncpus_per_node: 64\nstore: {tmp_path}/shared\nsetup: [module load cuda]\n"
        "forward: [WANDB_MODE]\n"
    )
    monkeypatch.setenv("WANDB_MODE", "off line")
    told = w2s("submit", write_recipe(tmp_path, **GPU_RECIPE), "--site", site, "--dry-run")
    assert told.code == 0, told.err
    for line in (
        "#SBATCH --partition=gpu",
        "#SBATCH --nodes=2",
        "#SBATCH --gpus-per-node=8",
        "#SBATCH --cpus-per-task=64",
    ):
        assert line in told.out
    assert "module load cuda\n" in told.out
    assert "export WANDB_MODE='off line'" in told.out
    assert f"{tmp_path}/shared/jobs/" in told.out


def test_an_array_over_seeds(fake: FakeSlurm, tmp_path: Path) -> None:
    told = w2s(
        "submit", write_recipe(tmp_path, seeds=3), "--store", tmp_path / "store", "--array", "seeds", "--throttle", "2"
    )
    assert told.code == 0, told.err
    assert ", 3 times" in told.out
    (folder,) = (tmp_path / "store" / "jobs").iterdir()
    assert "#SBATCH --array=0-2%2" in (folder / "run.sbatch").read_text()
    assert sorted(path.name for path in (folder / "recipes").iterdir()) == ["0.yaml", "1.yaml", "2.yaml"]


def test_check_asks_slurm_and_submits_nothing(fake: FakeSlurm, tmp_path: Path) -> None:
    told = w2s("submit", write_recipe(tmp_path), "--store", tmp_path / "store", "--check", "--json")
    assert told.code == 0, told.out
    checks = {check["name"]: check for check in told.json["checks"]}
    assert "2030-01-01" in checks["Slurm"]["found"]
    assert checks["memory: tiny-bert-32x2"]["state"] == "ok"
    assert checks["time"]["state"] == "ok"
    assert checks["grace"]["state"] == "ok"
    assert not (tmp_path / "store").exists()
    assert handed(fake) == []


@pytest.mark.parametrize(
    "flags, name, state, found",
    [
        (["--mem", "1MiB"], "memory: tiny-bert-256x2", "fail", "too much"),
        (["--time", "4m"], "time", "warn", "goes through the queue"),
    ],
)
def test_check_tells_what_will_not_do(
    fake: FakeSlurm, tmp_path: Path, flags: list[str], name: str, state: str, found: str
) -> None:
    recipe = write_recipe(tmp_path, task__size=4000, strong__epochs=1000, strong__model__width=256)
    told = w2s("submit", recipe, "--store", tmp_path / "store", "--check", "--json", *flags)
    checks = {check["name"]: check for check in told.json["checks"]}
    assert checks[name]["state"] == state
    assert found in checks[name]["found"]
    assert told.code == (3 if state == "fail" else 0)


def test_check_tells_what_slurm_refuses(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.says("test-only", "allocation failure: Requested node configuration is not available")
    fake.says("test-code", "1")
    told = w2s("submit", write_recipe(tmp_path), "--store", tmp_path / "store", "--check")
    assert told.code == 3
    assert "Slurm refuses the job: Requested node configuration is not available" in told.out


def test_a_remote_store_has_its_orders_in_a_folder_of_the_site(fake: FakeSlurm, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"jobs: {tmp_path}/jobs\n")
    url = f"memory://{tmp_path.name}"
    told = w2s("submit", write_recipe(tmp_path), "--site", site, "--store", url, "--json")
    assert told.code == 0, told.err
    assert Path(told.json["folder"]).parent == tmp_path / "jobs"
    order, placed = record(Store.open(url), told.json["id"])
    assert placed is not None
    assert json.loads((Path(order.folder) / "order.json").read_text())["id"] == order.id


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    told = w2s("submit", write_recipe(tmp_path), "--store", tmp_path / "store")
    assert told.code == 3
    assert "sbatch" in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "store" / "jobs").exists()


def test_what_went_to_the_sites_store_is_found_without_naming_it(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"store: {tmp_path}/shared\n")
    monkeypatch.setenv("W2S_SITE", str(site))
    identity = w2s("submit", write_recipe(tmp_path), "--json").json["id"]
    fake.says("queue", queued(identity, "N/A", "PENDING", reason="Priority"))
    assert identity in w2s("status").out
    assert identity not in w2s("status", "--store", tmp_path / "other").out
    monkeypatch.setenv("W2S_STORE", str(tmp_path / "other"))
    assert identity not in w2s("status").out
