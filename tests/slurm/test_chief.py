"""Real jobs of a real Slurm: Ray over two virtual nodes, a gang across both, and every way in which a job is interrupted."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from cluster.store import Store
from tests.slurm.box import Slurm
from tests.slurm.orders import SITE, Going, do_all_but, submit, w2s_run
from tests.w2s.command import built, finish, process, write_recipe

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

LONG_S = 300.0  # two cores that do other things as well
SAVES_OR_FAILS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *told: sys.exit(75))
while not pathlib.Path('{}').exists():
    time.sleep(0.1)
pathlib.Path('{}').unlink()  # once
sys.exit(1)
"""
STUDENT = "on strong (tiny-bert-8x1 labels, xent)"


@dataclass(frozen=True)
class Study:
    """A recipe whose student, a gang over two nodes, is all that is left to do in `store`; `key` is the student's."""

    recipe: Path
    store: Path
    key: str

    def on_copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.store, folder / "store"))

    def weights(self, store: Path) -> dict[str, str]:
        """The digests of what the student became."""
        files = Store.open(str(store)).receipt(self.key).files
        return {name: facts["sha256"] for name, facts in files.items() if name.endswith(".safetensors")}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    recipe = write_recipe(
        folder, method={"kind": "naive"}, baselines=[], strong__epochs=40, strong__evaluate="never",
        machines={"strong": {"devices": 2, "nodes": 2, "zero": 2}, "checkpoint_steps": 20},
    )  # fmt: skip
    solo = write_recipe(
        folder, "solo.yaml", method={"kind": "naive"}, baselines=[], strong__epochs=40, strong__evaluate="never"
    )
    return Study(recipe, folder / "store", do_all_but(solo, folder / "store", STUDENT))


@pytest.fixture(scope="module")
def undisturbed(slurm: Slurm, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Going]:
    """The student trained by a job that nobody disturbs."""
    patch = pytest.MonkeyPatch()
    for name in ("SLURM_CONF", "PATH"):
        patch.setenv(name, slurm.env[name])
    folder = tmp_path_factory.mktemp("undisturbed")
    going = submit(slurm, folder, [w2s_run(study.recipe, study.on_copy(folder))])
    slurm.wait_for(going.job, "RUNNING")
    going.show("Ray over two nodes, a gang across both: running")
    slurm.wait_for(going.job, "COMPLETED", "FAILED", timeout_s=LONG_S)
    going.show("... and done")
    yield going
    patch.undo()


def test_a_gang_trains_across_two_nodes(undisturbed: Going, study: Study) -> None:
    going = undisturbed
    facts = going.slurm.facts(going.job)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", "0"), going.printed()
    assert going.told() == ["1 begun", "1 up", "1 ended"]
    assert going.happenings()[-1]["exit_code"] == 0
    assert "2 ranks on cpu" in going.printed()
    assert study.weights(Path(going.order.store))
    attempt = Path(going.order.folder) / "0" / "attempt-1"
    assert {folder.name for folder in (attempt / "ray-logs").iterdir()} == {"w1", "w2"}
    assert all(list((attempt / "ray-logs" / node).glob("worker-*")) for node in ("w1", "w2"))  # both nodes worked
    assert not (attempt / "token").exists()
    assert attempt.stat().st_mode & 0o077 == 0


def test_a_job_that_is_preempted_and_loses_its_node_ends_with_the_same_weights(
    slurm: Slurm, study: Study, undisturbed: Going, tmp_path: Path
) -> None:
    """Pre-empted, and robbed of the node it runs on: two more attempts, and bit for bit the same student."""
    store = study.on_copy(tmp_path)
    going = submit(slurm, tmp_path, [w2s_run(study.recipe, store)])
    job = going.job

    going.until_trained(1, 0.1)
    urgent = slurm.sbatch("#!/bin/sh\nsleep 1\n", "--partition=high", "--nodes=3", "--exclusive", "--output=/dev/null")
    slurm.wait_for_requeue(job, 1)
    going.show("pre-empted by a job of higher priority: back in the queue")
    slurm.wait_for(urgent, "COMPLETED")
    slurm.start_now(job)

    going.until_trained(2, 0.3)
    dead = slurm.facts(job)["BatchHost"]
    slurm.kill_node(dead)
    slurm.wait_for_requeue(job, 2, timeout_s=LONG_S)
    going.show(f"{dead} has lost its power: requeued by Slurm")
    slurm.revive_node(dead)
    slurm.start_now(job)

    facts = slurm.wait_for(job, "COMPLETED", "FAILED", timeout_s=LONG_S)
    going.show("... and done at last")
    assert facts["ExitCode"] == "0:0", going.printed()
    first = [f"1 {what}" for what in ("begun", "up", "notice", "saved", "requeue")]
    assert going.told() == [*first, "2 begun", "2 up", "3 begun", "3 up", "3 ended"]
    progress = [row["progress"] for row in going.happenings() if row["what"] == "begun"][1:]
    assert progress == sorted(progress)
    assert study.weights(store) == study.weights(Path(undisturbed.order.store))
    assert [row for row in built(store) if STUDENT in row]


def test_cancelled_in_the_middle_it_leaves_nothing_behind(slurm: Slurm, study: Study, tmp_path: Path) -> None:
    """And whoever comes with another token is turned away, and told why."""
    going = submit(slurm, tmp_path, [w2s_run(study.recipe, study.on_copy(tmp_path))])
    address = going.until_told("1 up")["address"]
    there = processes(slurm)
    assert len(there) > 6  # Ray's own, on two nodes

    (tmp_path / "token").write_text("f" * 64)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    store = study.on_copy(tmp_path / "stranger")
    stranger = finish(process("run", study.recipe, "--store", store, "--ray-address", address, "--plain", env=token))
    assert stranger.code == 3
    assert "RAY_AUTH_MODE and the token match" in stranger.err
    assert "Traceback" not in stranger.err

    going.until_trained(1, 0.01)
    there |= processes(slurm)
    slurm.run("scancel", going.job)
    slurm.wait_for(going.job, "CANCELLED")
    slurm.until(lambda: not any(process.is_running() for process in there), 20, "all processes are gone")
    going.show("cancelled in the middle")
    assert slurm.facts(going.job)["Restarts"] == "0"
    assert going.told() == ["1 begun", "1 up", "1 ended"]
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if going.order.folder in str(process.info["cmdline"])
    ]
    homes = {home for process in there for home in re.findall(r"/tmp/w2s-job-\w+", cmdlines[process])}
    assert homes
    slurm.until(lambda: not any(Path(home).exists() for home in homes), 20, "Ray's folders are gone")


def test_at_its_time_limit_or_with_a_node_lost_a_job_goes_back_by_itself(slurm: Slurm, tmp_path: Path) -> None:
    """Slurm may take minutes to see that a node is gone; a job that ends before that has failed."""
    failed = tmp_path / "failed"
    going = submit(slurm, tmp_path, [("-c", SAVES_OR_FAILS.format(failed, failed))])
    job = going.job
    going.until_told("1 up")
    slurm.run("scontrol", "update", f"JobId={job}", "EndTime=now+60")  # looked at twice a minute, and 30 s ahead
    slurm.wait_for_requeue(job, 1, timeout_s=90)
    going.show("at its time limit: back in the queue")
    slurm.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    slurm.start_now(job)

    going.until_told("2 up")
    lost = next(node for node in going.happenings()[-1]["nodes"] if node != slurm.facts(job)["BatchHost"])
    slurm.kill_node(lost)
    failed.touch()  # what a driver does of that
    # on the nodes that are left it may begin again at once
    slurm.until(lambda: slurm.facts(job)["Restarts"] == "2", LONG_S, "it is back in the queue")
    going.show(f"the worker node {lost} has lost its power, and the driver fails of it: back in the queue")
    slurm.run("scancel", job)
    slurm.wait_for(job, "CANCELLED", "COMPLETING", "COMPLETED", "FAILED")
    slurm.revive_node(lost)
    assert f"node {lost} is lost" in going.printed()
    first = [f"1 {what}" for what in ("begun", "up", "notice", "saved", "requeue")]
    assert going.told()[:9] == [*first, "2 begun", "2 up", "2 notice", "2 saved"]


def test_a_node_that_does_not_come_up_is_named(slurm: Slurm, tmp_path: Path) -> None:
    """After a while the job says which one it waits for, and ends. What the two steps run is a line of shell here."""
    stub = tmp_path / "bin" / "srun"
    stub.parent.mkdir()
    real = shutil.which("srun", path=slurm.env["PATH"])
    up = '{"what": "up", "address": "127.0.0.1:1", "cpus": 2, "gpus": 0}'
    stub.write_text(f"""#!/bin/sh
case "$*" in
*nodelist=w2*) exec {real} --overlap -N1 -n1 -w w2 sh -c 'echo no way to the head >&2; exec cat > /dev/null' ;;
*) exec {real} --overlap -N1 -n1 -w w1 sh -c 'echo "$0"; exec cat > /dev/null' '{up}' ;;
esac
""")
    stub.chmod(0o755)
    slurm.until(slurm.all_up, LONG_S, "all nodes are up")
    site = replace(SITE, up_timeout_s=8, environment={"PATH": f"{stub.parent}:{slurm.env['PATH']}"})
    going = submit(slurm, tmp_path, [("-c", "raise SystemExit(1)")], site=site)
    facts = slurm.wait_for(going.job, "FAILED", "COMPLETED", timeout_s=LONG_S)
    going.show("a node that does not come up")
    assert facts["ExitCode"] == "3:0"
    said = going.printed()
    assert "Ray on 1 of 2 nodes: w2 did not come up within 8 s" in said
    assert "w2 | no way to the head" in said
    assert going.told() == ["1 begun", "1 ended"]


def test_two_elements_build_the_weak_model_they_share_once(slurm: Slurm, tmp_path: Path) -> None:
    small = {"baselines": [], "strong__evaluate": "never"}
    recipes = [
        write_recipe(tmp_path, "naive.yaml", method={"kind": "naive"}, **small),
        write_recipe(tmp_path, "confidence.yaml", method={"kind": "confidence"}, **small),
    ]
    store = tmp_path / "store"
    going = submit(slurm, tmp_path, *([w2s_run(recipe, store)] for recipe in recipes), nodes=1)
    for element in ("0", "1"):
        slurm.wait_for(f"{going.job}_{element}", "RUNNING")
    going.show("an array of two: running")
    for element in ("0", "1"):
        facts = slurm.wait_for(f"{going.job}_{element}", "COMPLETED", "FAILED", timeout_s=LONG_S)
        assert facts["ExitCode"] == "0:0", going.printed()
    going.show("... and done")
    began = [row.partition("/")[2] for row in built(store)]
    assert len([row for row in began if row.startswith("train tiny-bert-8x1 on weak")]) == 1
    assert len(began) == len(set(began))  # nor was anything else done twice
    assert len(list((store / "reports").iterdir())) == 2
    assert [going.told(element) for element in (0, 1)] == [["1 begun", "1 up", "1 ended"]] * 2


cmdlines: dict[psutil.Process, str] = {}


def processes(slurm: Slurm) -> set[psutil.Process]:
    """What runs on the box's nodes now; what each was is kept in `cmdlines`."""
    found = set()
    for step in slurm.steps():
        for child in step.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                cmdlines[child] = " ".join(child.cmdline())
                found.add(child)
    return found
