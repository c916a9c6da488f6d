"""What clusters do to a real training under ZeRO: a recipe's student on the store, the scheduler, Ray Train and DeepSpeed.

After each: the weights have the bits of the unbroken run, nothing of a dead attempt lives, the store is sound.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.ray_connect import connect, disconnect
from cluster.store import Store
from tests.chaos.processes import actors, groups, kill_rank, orphans, run, wait_until
from tests.chaos.soak import RANKS, Blow, Soak, fill, graph, next_checkpoint, student, unbroken, zero_recipe
from tests.cluster.targets import gang
from tests.conftest import ROOT
from tests.w2s.command import finish, process
from tests.w2s.work.run_stage import weights
from w2s.recipe import Recipe
from w2s.stages import walk

EPOCHS = 8
SEED = int(os.environ.get("W2S_CHAOS_SEED", "3"))


@dataclass(frozen=True)
class Prepared:
    """A store that holds all of a recipe but what needs the student's weights, and those weights by ZeRO stage."""

    store: Path
    weights: dict[int, dict[str, bytes]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("zero")
    told = zero_recipe(EPOCHS)
    recipe = Recipe.model_validate(told)
    store = Store.open(folder / "store")
    own = student(recipe).key
    above = {key for key, stage in recipe.graph().items() if own in walk(stage)}
    fill(recipe, [stage for key, stage in recipe.graph().items() if key not in above], store)
    return Prepared(folder / "store", unbroken(told, store, folder / "alone", [2, 3]))


def copied(prepared: Prepared, folder: Path) -> Store:
    shutil.copytree(prepared.store, folder / "store")
    return Store.open(folder / "store")


@pytest.mark.soak
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_ranks_cost_time_and_nothing_else(prepared: Prepared, tmp_path: Path) -> None:
    """A random rank dies right after a checkpoint was renamed; of the next attempt, at a random moment, start-up included."""
    store = copied(prepared, tmp_path)
    jobs, team = graph(Recipe.model_validate(zero_recipe(EPOCHS, checkpoint_steps=5, retries=2)))
    work, rng = store.scratch(team.key).work, random.Random(SEED)
    victims, moment = [rng.randrange(RANKS) for _ in range(2)], rng.uniform(0, 5)
    print(f"W2S_CHAOS_SEED={SEED}: ranks {victims}, the second {moment:.1f} s after its attempt began")

    def after_checkpoint(attempt: object) -> None:
        next_checkpoint(work)
        kill_rank(victims[0])(soak.attempts[0])

    soak = Soak([Blow("rank", after_checkpoint), Blow("rank", kill_rank(victims[1]), moment, settled=False)])
    connect(None, cpus=RANKS)
    try:
        summary = run(store.url, jobs, team, listen=soak)
        assert summary.exit_code == 0, summary.failures
        assert len(soak.wounds) == len(soak.retries) == 2, soak.retries
        assert soak.wounds[0].resumed is None or soak.wounds[0].resumed >= 5, "it went on from a checkpoint"
        assert weights(store.path(team.key)) == prepared.weights[3]
        assert orphans(soak.pids()) == []
        assert groups() == 0
        assert actors("GangKeeper") == actors("TrainController") == []
        assert store.verify() == []
        assert not work.exists(), "checkpoints go when the result is there"
    finally:
        disconnect()


@pytest.mark.soak
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_notice_to_the_driver_saves_all_ranks_and_says_run_me_again(prepared: Prepared, tmp_path: Path) -> None:
    """SIGUSR1 to `w2s run`: exit code 75 and a checkpoint of both ranks; the same command ends with the same weights."""
    store = copied(prepared, tmp_path)
    told = zero_recipe(EPOCHS, zero=2, checkpoint_steps=5)
    file = tmp_path / "toy.yaml"
    file.write_text(json.dumps(told))
    key = student(Recipe.model_validate(told)).key
    work = store.scratch(key).work
    command = ("run", file, "--store", tmp_path / "store", "--plain")
    running = process(*command)
    try:
        assert wait_until(lambda: bool(list(work.glob("step-*"))), 120), "it trains and saves"
    finally:
        running.send_signal(signal.SIGUSR1)
        done = finish(running)
    assert done.code == 75, done.err
    assert "Traceback" not in done.err
    manifest = json.loads((max(work.glob("step-*")) / "manifest.json").read_text())
    assert sorted(manifest["files"]) == ["state.json", "tensors-00000.safetensors", "tensors-00001.safetensors"]
    assert manifest["layout"] == "2 ranks under ZeRO-2"
    step = manifest["step"]
    again = finish(process(*command), timeout_s=200)
    assert again.code == 0, again.err
    assert f"resumed at step {step} of " in store.log_path(key).read_text()
    assert weights(store.path(key)) == prepared.weights[2]
    assert store.verify() == []


APART = """
import json, subprocess, sys
from cluster import gang
from cluster.errors import BadEnvironment
from cluster.gang import Place
from cluster.store import Store
from tests.cluster.targets import gang as toy

store, place = Store.open(sys.argv[1]), Place(*json.loads(sys.argv[2]))
if len(sys.argv) > 3:
    subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[3]], check=True)
gang.SHARED_S = 1.0

class Link:
    def ask(self, method):
        return place

try:
    gang._Turn(toy("team", 2), None, "cpu", 1, 2, Link())._meet(store)
    print(json.dumps({"error": ""}))
except BadEnvironment as problem:
    print(json.dumps(problem.record()))
"""


def test_ranks_that_see_different_folders_refuse(tmp_path: Path) -> None:
    """Rank 1 in a mount namespace of its own, where something else lies over the store's scratch, as on a node without NFS."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not make a mount namespace here")
    store, team = Store.open(tmp_path / "store"), gang("team", 2)
    scratch = store.scratch(team.key)
    (scratch.work.parent / "gang-nonce").touch()
    place = json.dumps([str(scratch.out), str(scratch.work), "gang-nonce"])

    def meet(*prefix: str, over: tuple[str, ...] = ()) -> dict[str, str]:
        argv = [*prefix, sys.executable, "-c", APART, store.url, place, *over]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
        record: dict[str, str] = json.loads(done.stdout)
        return record

    assert meet() == {"error": ""}
    refused = meet("unshare", "--mount", over=(str(scratch.work.parent),))
    assert refused["error"] == "BadEnvironment"
    assert refused["what"].startswith("the store is not shared by all nodes: ")
    assert "NFS" in refused["remedy"]
