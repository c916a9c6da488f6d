"""doctor --ray: what it says of clusters made up, and of a real one that is joined, asked by a job, shut to us, or gone."""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import doctor_ray, store_mark
from cluster.errors import BadEnvironment
from cluster.ray_probe import ANSWER, SeenCluster, SeenNode, answer_in
from tests.cluster.ray_head import RayHead, ray_head
from tests.w2s.command import finish, process, w2s

pytestmark = [pytest.mark.ray, pytest.mark.slow]

NODE = SeenNode("n1", 4.0, 2.0, 2.0**27, seen=True, python="3.11.7", torch_gpus=2, driver_gpus=2)


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with ray_head(cpus=1) as running:
        yield running


@pytest.mark.parametrize(
    "changes, state, words",
    [
        ({}, "ok", "4 CPUs, 2 GPUs"),
        ({"torch_gpus": 0}, "fail", "torch there sees 0 GPUs, its driver 2"),
        ({"torch_gpus": None, "driver_gpus": None}, "fail", "its driver 0"),
        ({"gpus": 0.0}, "warn", "--num-gpus=2"),
        ({"gpus": 0.0, "torch_gpus": None, "driver_gpus": None}, "ok", "0 GPUs"),
        ({"python": "3.12.1"}, "fail", "Python 3.12.1 there, 3.11.7 on the others"),
        ({"seen": False}, "warn", "did not end in time"),
        ({"seen": False, "error": "ModuleNotFoundError: No module named 'cluster'"}, "fail", "cannot import our code"),
        ({"seen": False, "error": "it died"}, "fail", "a task failed: it died"),
    ],
)
def test_nodes(changes: dict[str, object], state: str, words: str) -> None:
    told = doctor_ray.node(dataclasses.replace(NODE, **changes), "3.11.7")  # type: ignore[arg-type]
    assert (told.name, told.state) == ("node n1", state)
    assert words in f"{told.found}; {told.remedy}"


def test_what_a_cluster_must_have() -> None:
    blind = dataclasses.replace(NODE, name="n2", store="is another folder there", object_store=1.0)
    sound, odd = (SeenCluster("2.60.0", "3.11.7", "h:1", True, nodes) for nodes in ((NODE,), (NODE, blind)))
    assert SeenCluster.from_json(odd.to_json()) == odd
    assert answer_in(f"noise\n{ANSWER}{odd.to_json()}\nmore\n") == odd
    assert answer_in("noise\n") is None
    assert doctor_ray.nodes(odd).found == "2 alive, 8 CPUs, 4 GPUs"
    assert doctor_ray.nodes(dataclasses.replace(sound, nodes=())).state == "fail"
    assert doctor_ray.store_everywhere("/s", sound).state == "ok"
    told = doctor_ray.store_everywhere("/s", odd)
    assert (told.state, told.found) == ("fail", "/s n2: is another folder there")
    assert doctor_ray.object_store(sound).state == "ok"
    assert doctor_ray.object_store(odd).state == "warn"
    assert doctor_ray.token(False).state == "warn"
    assert doctor_ray.dashboard("", "").state == doctor_ray.dashboard("h:1", "does not answer").state == "warn"
    assert doctor_ray.same("Ray", "2.60.0", "2.60.0", by_job=False).state == "ok"
    assert doctor_ray.same("Ray", "2.60.0", "2.61.0", by_job=False).state == "fail"
    assert doctor_ray.same("Ray", "2.60.0", "2.61.0", by_job=True).state == "warn"
    assert doctor_ray.same("Python", "3.11.7", "3.11.9", by_job=False).state == "warn"
    assert doctor_ray.same("Python", "3.11.7", "3.12.7", by_job=False).state == "fail"
    refused = doctor_ray.unanswered("h:1", BadEnvironment("Ray at h:1", "does not answer", "check it"))
    assert (refused.state, refused.found, refused.remedy) == ("fail", "h:1: does not answer", "check it")


def test_a_store_is_marked_and_left_as_it_was(tmp_path: Path) -> None:
    store = tmp_path / "new" / "store"
    (tmp_path / "new").mkdir()
    with store_mark.marked(str(store)) as mark:
        assert store_mark.store_fault(str(store), mark) == ""
        assert store_mark.store_fault(str(tmp_path / "other"), mark) == "is another folder there"
    assert not store.exists()
    store.mkdir()
    with store_mark.marked(str(store)):
        assert len(list(store.iterdir())) == 1
    assert list(store.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), store_mark.marked(str(tmp_path / "file")):
        pass


def test_a_cluster_is_joined(head: RayHead, tmp_path: Path) -> None:
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(head.token)}
    told = finish(process("doctor", "--ray", head.address, "--store", tmp_path / "store", "--json", env=env))
    assert told.code == 0, told.out + told.err
    checks = {check["name"]: check for check in told.json["checks"]}
    assert {check["state"] for check in checks.values()} == {"ok"}
    assert checks["Python"]["found"] == f"{platform.python_version()} there and here"
    assert checks["nodes"]["found"] == "1 alive, 1 CPUs, 0 GPUs"
    assert checks["store"]["found"].endswith("is seen and writable on 1 of 1 nodes")
    assert checks["dashboard"]["found"].startswith(head.url.removeprefix("http://"))
    assert list(tmp_path.iterdir()) == []


def test_a_job_looks_around(head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(head.token))
    told = w2s("doctor", "--ray", head.url, "--store", tmp_path / "store")
    assert told.code == 0, told.out
    lines = told.out.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == ["ok"] * 9
    assert f"{head.url} takes jobs" in lines[0]
    assert "seen and writable on 1 of 1 nodes" in told.out
    assert lines[-1] == "a plain run will work"
    site = tmp_path / "site.yaml"
    site.write_text("python: /no/such/python\n")
    told = w2s("doctor", "--ray", head.url, "--store", tmp_path / "store", "--site", site)
    assert told.code == 3
    assert "/no/such/python: not found" in told.out
    assert sys.executable not in told.out


def test_clusters_that_cannot_be_examined(head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    for address, words in (
        (head.url, "wants a token, and none was found"),
        ("http://127.0.0.1:9", "does not answer"),
        ("127.0.0.1:9", "does not answer"),
        ("ray://head:10001", "is a Ray Client address"),
    ):
        told = w2s("doctor", "--ray", address, "--store", tmp_path / "store", "--json")
        assert told.code == 3
        first = told.json["checks"][0]
        assert (first["name"], first["state"]) == ("address", "fail")
        assert words in first["found"]
        assert first["remedy"]
    (tmp_path / "file").write_text("")
    told = w2s("doctor", "--ray", head.url, "--store", tmp_path / "file")
    assert told.code == 3
    assert told.out.startswith("fail  store ")
    for flags, words in (
        (("--slurm", "--ray", "x"), "--ray: does not go with --slurm"),
        (("--probe",), "--probe: is for Slurm"),
        (("--site", "x"), "--site: is for clusters"),
    ):
        told = w2s("doctor", *flags)
        assert told.code == 2
        assert words in told.err
