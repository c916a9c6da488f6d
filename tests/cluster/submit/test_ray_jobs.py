"""Ray Jobs against a real cluster: submitted, watched, attached to, failed, cancelled; and clusters that refuse or are gone."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import BadEnvironment, BadInput
from cluster.submit import ray_package
from cluster.submit.live import Live
from cluster.submit.order import RAY_ADDRESS, Command, Order, Placed
from cluster.submit.site import Site
from tests.cluster.ray_head import RayHead, ray_head
from tests.conftest import toy_recipe

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SMALL = {"method": {"kind": "naive"}, "baselines": [], "task__size": 80, "task__n_test": 20}


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with ray_head(cpus=3) as running:
        yield running


@pytest.fixture(autouse=True)
def _token(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    if "head" in request.fixturenames:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(request.getfixturevalue("head").token))


def order(
    folder: Path, *elements: tuple[Command, ...], identity: str = "toy-1", pool: str = "ray", **recipe: Any
) -> Order:
    """An order as `w2s submit` lays it out: its folder in the store, with the recipe there. Without elements: one run of it."""
    store = folder / "store"
    home = store / "jobs" / identity
    (home / "recipes").mkdir(parents=True, exist_ok=True)
    file = home / "recipes" / "0.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(toy_recipe(**{**SMALL, **recipe})))))
    run = Command(
        "toy", ("-m", "w2s", "run", str(file), "--store", str(store), "--ray-address", RAY_ADDRESS, "--plain")
    )
    return Order(identity, "ray", str(home), str(store), "toy.yaml", elements or ((run,),))


def until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def over(ordered: Order, placed: Placed) -> list[Live]:
    """What is told once all elements are over."""
    from cluster.submit import ray_jobs

    until(lambda: all(one.over for one in ray_jobs.look(ordered, placed)))
    return ray_jobs.look(ordered, placed)


def test_a_recipe_runs_and_a_second_submit_attaches(
    head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cluster.submit import ray_jobs

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # Ray would follow it in place of the address given
    ours = order(tmp_path, pool="inline")  # workers start slowly, and the run that is cancelled has some
    site = Site(environment={"SAID": "it's $(so)"}, forward=("HOME", "NOT_SET"))
    placed = ray_jobs.submit(ours, site, head.url + "/")
    assert (placed.id, placed.handle, placed.where) == ("toy-1", "toy-1", head.url)
    assert abs(placed.time - time.time()) < 60
    assert ray_jobs.submit(ours, site, head.url) == ray_jobs.find(ours, head.url) == placed
    assert ray_jobs.look(ours, placed)[0].state in ("pending", "running")
    said = "".join(ray_jobs.logs(ours, placed, follow=True))
    assert "w2s run recipes/0.yaml" in said  # the recipe travelled: its folder may be out of the nodes' sight
    assert "PGR" in said
    [one] = over(ours, placed)
    assert (one.state, one.told, one.exit_code) == ("done", "SUCCEEDED", 0)
    assert one.nodes
    assert one.started is not None
    assert one.ended is not None
    assert one.ended - one.started > 1
    assert "".join(ray_jobs.logs(ours, placed, follow=False)).endswith(said[-100:])
    [receipt, *_] = (tmp_path / "store").glob("??/*/receipt.json")
    assert json.loads(receipt.read_text())
    assert ray_jobs.find(ours, head.url) is None
    elsewhere = order(tmp_path / "other", (Command("same name", ("-c", "pass")),))
    assert ray_jobs.submit(elsewhere, site, head.url).handle == "toy-1~2"  # the cluster remembers the name
    with ray_jobs.jobs_api(head.url) as client:
        job = client.get_job_info("toy-1")
    assert job.metadata is not None
    assert head.token.read_text() not in str(job)
    assert job.runtime_env is not None
    variables = job.runtime_env["env_vars"]
    assert variables["SAID"] == "it's $(so)"
    assert "NOT_SET" not in variables
    assert {"W2S_ORDER": "toy-1", "W2S_ELEMENT": "0", "W2S_COMMAND": "0"}.items() <= variables.items()


def test_elements_fail_and_pass_by_themselves(head: RayHead, tmp_path: Path) -> None:
    from cluster.submit import ray_jobs

    say = "import os, sys; print('hello', os.environ['W2S_ELEMENT'], os.environ['W2S_COMMAND'], sys.argv)"
    bad = Command("bad", ("-m", "w2s", "run", "recipes/0.yaml", "--store", str(tmp_path / "s"), "--pool", "inline"))
    pack = tuple(Command(f"pack {index}", ("-c", say, "$(x) 'y'")) for index in range(2))
    ours = order(tmp_path, (bad,), pack, identity="array", method={"kind": "lader"})
    placed = ray_jobs.submit(ours, Site(), head.url, driver_cpus=0.5)
    failed, done = over(ours, placed)
    assert (failed.element, failed.state, failed.exit_code) == (0, "failed", 2)
    assert "lader" in failed.why
    assert (done.element, done.state, done.exit_code) == (1, "done", 0)
    said = "".join(ray_jobs.logs(ours, placed, follow=False, element=1))
    assert "--- pack 0 ---" in said
    for which in range(2):
        assert f"hello 1 {which} ['-c', \"$(x) 'y'\"]" in said
    assert "lader" not in said
    nobody = order(tmp_path, (Command("none", ("-c", "pass")),), identity="none")
    gone = ray_jobs.submit(nobody, Site(python="/no/such/python"), head.url)
    [one] = over(nobody, gone)
    assert (one.state, one.exit_code) == ("failed", 127)
    assert "site file's `python`" in one.why


def test_a_cancelled_run_saves(head: RayHead, tmp_path: Path) -> None:
    from cluster.submit import ray_jobs

    ours = order(tmp_path, identity="long", weak__epochs=1000)
    placed = ray_jobs.submit(ours, Site(grace_s=60), head.url)
    until(lambda: "started  toy/train" in "".join(ray_jobs.logs(ours, placed, follow=False)))
    ray_jobs.cancel(ours, placed)
    [one] = over(ours, placed)
    assert (one.state, one.told) == ("cancelled", "STOPPED")
    said = "".join(ray_jobs.logs(ours, placed, follow=False))
    assert "done     toy/rows" in said  # by a worker of this cluster, with the code that travelled
    assert "stopped before the end" in said  # by itself, and not by SIGKILL after Ray's three seconds
    assert list((tmp_path / "store" / "scratch").glob("*/work/step-*/manifest.json"))
    ray_jobs.cancel(ours, placed)  # nothing to do


def test_clusters_that_want_another_token(head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.submit import ray_jobs

    ours, placed = order(tmp_path), Placed("toy-1", "toy-1", head.url, "", "", 0.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    other = tmp_path / "other"
    other.write_text("0" * 64)
    for variables, words in (
        ({"RAY_AUTH_TOKEN_PATH": str(other)}, "refuses our token"),
        ({"RAY_AUTH_TOKEN_PATH": str(other), "RAY_AUTH_MODE": "token"}, "refuses our token"),
        ({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, "wants a token, and none was found"),
        ({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none"), "RAY_AUTH_MODE": "token"}, "RAY_AUTH_MODE is token and there"),
        ({"RAY_AUTH_MODE": "disabled"}, "wants a token"),
    ):
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            with pytest.raises(BadEnvironment, match=words) as raised:
                ray_jobs.submit(ours, Site(), head.url)
            assert "set RAY_AUTH_TOKEN_PATH" in str(raised.value)
            assert "\n" not in str(raised.value)
            [one] = ray_jobs.look(ours, placed)
            assert (one.state, one.over) == ("unknown", False)
            assert words in one.why


def test_a_token_is_shown_only_to_those_who_ask(head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.submit import ray_jobs

    heard: list[str | None] = []

    class Open(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            text = b"[]" if self.path.startswith("/api/jobs") else b'{"ray_version": "2.60.0"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Open)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert ray_jobs.find(order(tmp_path), f"127.0.0.1:{server.server_port}") is None
        assert set(heard) == {None}
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        assert ray_jobs.find(order(tmp_path), f"127.0.0.1:{server.server_port}") is None
        assert heard[-1] == f"Bearer {head.token.read_text()}"
    finally:
        server.shutdown()
        server.server_close()


def test_clusters_that_are_gone(head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.submit import ray_api, ray_jobs

    ours = order(tmp_path, identity="never")
    monkeypatch.setattr(ray_api, "KNOCK_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for listening, words in ((False, "does not answer"), (True, "does not answer in time")):
            if listening:
                silent.listen()
            with pytest.raises(BadEnvironment, match=words):
                ray_jobs.submit(ours, Site(), dead)
            [one] = ray_jobs.look(ours, Placed("never", "never", dead, "", "", 0.0))
            assert one.state == "unknown"
            assert words in one.why
            with pytest.raises(BadEnvironment, match=words):
                ray_jobs.cancel(ours, Placed("never", "never", dead, "", "", 0.0))
    [one] = ray_jobs.look(ours, Placed("never", "never", head.url, "", "", 0.0))
    assert one.state == "unknown"
    assert "started anew" in one.why
    with pytest.raises(BadInput, match="does not know it"):
        list(ray_jobs.logs(ours, Placed("never", "never", head.url, "", "", 0.0), follow=False))
    for address in ("ray://head:10001", "auto", "http://", ""):
        with pytest.raises(BadInput, match="no address of Ray's Jobs API"):
            ray_jobs.submit(ours, Site(), address)


def test_what_ray_jobs_cannot_do_is_refused(tmp_path: Path) -> None:
    import dataclasses

    from cluster.submit import ray_jobs

    ours = order(tmp_path)
    for change, site, words in (
        ({"dependency": "afterok:1"}, Site(), "--dependency: is Slurm's"),
        ({"throttle": 2}, Site(), "--throttle: is Slurm's"),
        ({"store": "store"}, Site(), "--store: 'store' is relative"),
        ({}, Site(forward=("HF_TOKEN",)), "site: forward: HF_TOKEN: whoever sees"),
        ({"environment": {"WANDB_API_KEY": "x"}}, Site(), "site: environment: WANDB_API_KEY: whoever"),
        (
            {"folder": str(tmp_path / "gone")},
            Site(environment={"TOKENIZERS_PARALLELISM": "false"}),
            "recipes is missing",
        ),
    ):
        with pytest.raises(BadInput, match=words):
            ray_jobs.submit(dataclasses.replace(ours, **change), site, "http://127.0.0.1:1")


def test_only_our_code_and_the_recipes_travel(tmp_path: Path) -> None:
    ours = order(tmp_path)
    (Path(ours.folder) / "recipes" / ".token").write_text("secret")
    (Path(ours.folder) / "token").write_text("secret")
    went = ray_package.assemble(ours, tmp_path / "package")
    assert {name.partition("/")[0] for name in went} == {"cluster", "w2s", "recipes", "w2s-code.json"}
    assert {"cluster/submit/ray_jobs.py", "w2s/__main__.py", "recipes/0.yaml"} <= set(went)
    assert not [name for name in went if name.endswith(".pyc") or "/." in name]
    assert sum(file.stat().st_size for file in (tmp_path / "package").rglob("*")) < 4 * 2**20
    assert ray_package.as_packed(f"{ours.folder}/recipes/0.yaml", ours) == "recipes/0.yaml"
    assert ray_package.as_packed("--plain", ours) == "--plain"
