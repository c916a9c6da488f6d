"""From a recipe to an order: elements, sizes, names. Pure; nothing is submitted here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import BadInput
from cluster.submit.order import RAY_ADDRESS, Order
from cluster.submit.site import Site
from tests.conftest import toy_recipe
from w2s.load import Written, packaged_names, read
from w2s.search.searched import Searched
from w2s.submission import Asked, Plan, plan

GPUS = Site(gpus_per_node=8, cpus_per_node=64)
SLURM = Asked("slurm")


def written(folder: Path, **changes: Any) -> Written:
    file = folder / "toy.yaml"
    file.write_text(yaml.safe_dump(toy_recipe(**changes)))
    return read(str(file))


def order(found: Plan, number: int = 1) -> Order:
    return found.order(number, Path("/shared/jobs"), "/shared/store", "toy.yaml")


@pytest.mark.parametrize("name", [name for name in packaged_names() if name != "file"])
def test_a_recipe_travels_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node reads has the same stages, machines and search as what was submitted."""
    (tmp_path / "vectors.npz").write_bytes(b"read by nobody who only plans")
    monkeypatch.chdir(tmp_path)
    before = read(name)
    (element,) = plan(before, GPUS, Asked("slurm", gpus=8)).elements
    copy = tmp_path / "0.yaml"
    copy.write_text(element.text, encoding="utf-8")
    after = read(str(copy))
    assert list(after.recipe.graph()) == list(before.recipe.graph())
    assert (after.recipe.name, after.recipe.machines) == (before.recipe.name, before.recipe.machines)
    if before.recipe.search:
        assert Searched(after).base_recipe == Searched(before).base_recipe
        assert after.recipe.search == before.recipe.search


def test_local_paths_travel_as_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job runs elsewhere: what was written relative to here must mean the same there."""
    (tmp_path / "rows.jsonl").write_text(
        "".join(f'{{"text": "row {i}", "label": {i % 2}}}\n' for i in range(40)), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    recipe = toy_recipe(task={"kind": "file", "path": "rows.jsonl", "text": "text"})
    Path("r.yaml").write_text(yaml.safe_dump(recipe))
    before = read("r.yaml")
    (element,) = plan(before, Site(), SLURM).elements
    monkeypatch.chdir("/")
    (tmp_path / "copy.yaml").write_text(element.text)
    assert read(str(tmp_path / "copy.yaml")).recipe.fingerprint == before.recipe.fingerprint


def test_an_array_over_seeds_shares_nothing_but_what_seeds_share(tmp_path: Path) -> None:
    whole = written(tmp_path, seeds=[0, 3])
    found = plan(whole, Site(), Asked("slurm", over="seeds"))
    assert [element.name for element in found.elements] == ["seed 0", "seed 3"]
    keys = [set(element.recipe.graph()) for element in found.elements]
    assert keys[0] | keys[1] == set(whole.recipe.graph()), "together they are the whole recipe"
    assert [command.name for (command,) in order(found).elements] == ["seed 0", "seed 3"]


def test_an_array_over_methods_shares_supervisor_and_ceiling(tmp_path: Path) -> None:
    whole = written(tmp_path)
    found = plan(whole, Site(), Asked("slurm", over="methods"))
    assert [element.recipe.method.kind for element in found.elements] == ["confidence", "naive"]
    assert all(element.recipe.baselines == () for element in found.elements)
    keys = [set(element.recipe.graph()) for element in found.elements]
    assert keys[0] | keys[1] == set(whole.recipe.graph())
    assert len(keys[0] & keys[1]) > 5


def test_a_pack_is_an_element_of_several_commands(tmp_path: Path) -> None:
    found = order(plan(written(tmp_path, seeds=5), Site(), Asked("slurm", over="seeds", pack=2, throttle=3)))
    assert [[command.name for command in pack] for pack in found.elements] == [
        ["seed 0", "seed 1"], ["seed 2", "seed 3"], ["seed 4"],
    ]  # fmt: skip
    assert found.throttle == 3
    recipes = [command.argv[3] for pack in found.elements for command in pack]
    assert recipes == [f"{found.folder}/recipes/{index}.yaml" for index in range(5)]


def test_a_command_is_what_a_user_would_type(tmp_path: Path) -> None:
    (((command,),), identity) = (lambda one: (one.elements, one.id))(order(plan(written(tmp_path), Site(), SLURM), 7))
    assert identity.startswith("toy-")
    assert identity.endswith(".7")
    assert command.argv == (
        "-m", "w2s", "run", f"/shared/jobs/{identity}/recipes/0.yaml", "--store", "/shared/store",
        "--ray-address", RAY_ADDRESS, "--plain",
    )  # fmt: skip
    assert command.at("10.0.0.1:6379")[7] == "10.0.0.1:6379"


def test_a_search_is_one_command(tmp_path: Path) -> None:
    search = {"space": {"method.alpha": {"uniform": [0, 0.9]}}, "trials": 4}
    found = plan(written(tmp_path, search=search), Site(), Asked("slurm", tune=True, extend=2))
    ((command,),) = order(found).elements
    assert command.argv[2] == "tune"
    assert command.argv[-2:] == ("--extend", "2")
    again = plan(written(tmp_path, search=search), Site(), Asked("slurm", tune=True))
    assert again.base != found.base, "an extended search is other work"


def test_the_same_work_has_the_same_name(tmp_path: Path) -> None:
    """Machines, sizes and the order of overrides are no part of it; science is."""
    one = plan(written(tmp_path), Site(), SLURM).base
    assert plan(written(tmp_path), GPUS, Asked("slurm", nodes=3, time_s=60)).base == one
    assert plan(written(tmp_path, machines={"strong": {"cpus": 2}}), Site(), SLURM).base == one
    assert plan(written(tmp_path, method__alpha=0.3), Site(), SLURM).base != one
    assert plan(written(tmp_path), Site(), Asked("ray")).base != one
    assert plan(written(tmp_path, name="x" * 64), Site(), SLURM).base.startswith("x" * 40 + "-")


@pytest.mark.parametrize(
    "machine, site, asked, size",
    [
        ({}, Site(), {}, (1, 0, 1)),
        ({"cpus": 6}, Site(), {}, (1, 0, 6)),
        ({"devices": 4}, Site(), {}, (1, 0, 4)),
        ({"devices": 4, "nodes": 2, "cpus": 3}, Site(), {}, (2, 0, 6)),
        ({"devices": 4}, Site(cpus_per_node=2), {}, (2, 0, 2)),
        ({"devices": 4}, GPUS, {}, (1, 8, 64)),
        ({"devices": 16}, GPUS, {}, (2, 8, 64)),
        ({"devices": 16, "nodes": 4}, GPUS, {}, (4, 8, 64)),
        ({"devices": 16, "nodes": 4}, Site(gpus_per_node=8, exclusive=False), {}, (4, 4, 4)),
        ({"devices": 4}, Site(gpus_per_node=8, exclusive=False), {}, (1, 4, 4)),
        ({"devices": 4}, GPUS, {"gpus": 2}, (2, 2, 64)),
        ({"devices": 4}, GPUS, {"nodes": 4}, (4, 8, 64)),
        ({"devices": 4}, GPUS, {"cpus": 16}, (1, 8, 16)),
        ({"gpus": 0.5}, Site(gpus_per_node=4, exclusive=False), {}, (1, 1, 1)),
    ],
)
def test_the_cluster_holds_the_largest_stage(
    tmp_path: Path, machine: dict[str, Any], site: Site, asked: dict[str, int], size: tuple[int, int, int]
) -> None:
    found = plan(written(tmp_path, machines={"strong": machine}), site, Asked("slurm", **asked)).size
    assert (found.nodes, found.gpus, found.cpus) == size


def test_flags_beat_the_site() -> None:
    recipe = read("quickstart")
    site = Site(memory_per_node_mib=1000, time_limit_s=500, cpus_per_node=4)
    assert plan(recipe, site, SLURM).size.memory_mib == 1000
    assert plan(recipe, site, SLURM).size.time_s == 500
    asked = plan(recipe, site, Asked("slurm", memory_mib=7, time_s=8, cpus=9)).size
    assert (asked.memory_mib, asked.time_s, asked.cpus) == (7, 8, 9)


@pytest.mark.parametrize(
    "machine, site, asked, told",
    [
        ({"devices": 16, "nodes": 2}, Site(gpus_per_node=4), {}, r"--gpus.*8 a node are needed and a node has 4"),
        ({"devices": 4, "nodes": 4}, Site(), {"nodes": 2}, r"--nodes.*2 cannot hold machines"),
        ({"devices": 4}, Site(gpus_per_node=1), {"nodes": 2}, r"--gpus.*2 a node are needed"),
        ({"cpus": 8}, Site(cpus_per_node=4), {}, r"--cpus.*a rank needs 8 cores"),
    ],
)
def test_what_no_node_holds_is_told(
    tmp_path: Path, machine: dict[str, Any], site: Site, asked: dict[str, int], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        plan(written(tmp_path, machines={"strong": machine}), site, Asked("slurm", **asked))


@pytest.mark.parametrize(
    "asked, told",
    [
        (Asked("slurm", pack=2), "--pack"),
        (Asked("slurm", throttle=2), "--throttle"),
        (Asked("slurm", extend=2), "--extend"),
        (Asked("ray", dependency="afterok:1"), "--dependency"),
        (Asked("slurm", tune=True), "search"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path: Path, asked: Asked, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        plan(written(tmp_path), Site(), asked)
