"""A real TensorBoard, begun by `w2s board`: its pages answer, on loopback alone, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import psutil
import pytest

from cluster.store import Store
from tests.w2s.command import process, w2s
from tests.w2s.conftest import Finished
from w2s.load import load
from w2s.stages import Rows

WAIT_S = 120.0
SIDES = ("floor", "transfer", "ceiling")


@dataclass(frozen=True)
class Served:
    """The command at work, and the address it told."""

    running: subprocess.Popen[str]
    url: str

    def get(self, path: str, body: Any = None) -> Any:
        """The JSON that an address of TensorBoard's answers with."""
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        with urlopen(Request(f"{self.url}data/{path}", data, kind), timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def served(copied: Finished) -> Iterator[Served]:
    running = process(
        "board", copied.recipe, "--store", copied.store, env={"SSH_CONNECTION": "10.0.0.2 5 10.0.0.9 2222"}
    )
    try:
        assert running.stdout is not None
        lines: list[str] = []
        while (line := running.stdout.readline()) and len(lines) < 3:
            lines.append(line.rstrip())
            if line.startswith("from another machine"):
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", "\n".join(lines))
        assert found is not None, (lines, running.stderr and running.stderr.read())
        assert (
            lines[0]
            == f"15 runs of toy: {copied.store / 'reports'}/toy-{load(str(copied.recipe)).fingerprint}/tensorboard"
        )
        port = found[1]
        assert re.fullmatch(rf"from another machine: ssh -N -p 2222 -L {port}:127\.0\.0\.1:{port} \S+@\S+", lines[-1])
        yield Served(running, found[0])
    finally:
        running.kill()
        running.communicate()


def until(true: Any) -> Any:
    end = time.monotonic() + WAIT_S
    while not (found := true()):
        assert time.monotonic() < end, "TensorBoard has not read the runs"
        time.sleep(0.2)
    return found


def test_it_answers_on_loopback_and_ends_with_ctrl_c(served: Served, copied: Finished) -> None:
    runs = until(lambda: served.get("runs"))
    assert {"naive/seed 0/student", "confidence/seed 0/weak 1", "summary", "naive/by seed"} <= set(runs)
    listed = served.get("plugins_listing")
    shown = {"scalars", "custom_scalars", "pr_curves", "histograms", "images", "text", "hparams"}
    assert {name for name in shown if listed[name]["enabled"]} == shown
    _results_are_the_receipts(served, copied)
    _hostless(served.running.pid)
    children = psutil.Process(served.running.pid).children(recursive=True)
    served.running.send_signal(signal.SIGINT)
    assert served.running.wait(30) == 0
    assert served.running.stderr is not None
    assert served.running.stderr.read() == ""
    gone, left = psutil.wait_procs(children, timeout=30)
    assert not left
    assert len(gone) == len(children)


def _results_are_the_receipts(served: Served, copied: Finished) -> None:
    recipe, store = load(str(copied.recipe)), Store.open(copied.store)
    (outcome,) = recipe.outcomes[recipe.method].values()
    facts = store.receipt(Rows(recipe.task).key).metrics
    run = "confidence/seed 0/results"
    body = {"colParams": [], "allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 9}
    body["colParams"] = [{"metric": {"tag": f"result/{side}"}} for side in SIDES]
    groups = {group["name"]: group for group in served.get("plugin/hparams/session_groups", body)["sessionGroups"]}
    metrics = {one["name"]["tag"]: one["value"] for one in groups["confidence/seed 0"]["metricValues"]}
    for side, grade in outcome.sides().items():
        accuracy = store.receipt(grade.key).metrics["accuracy"]
        assert metrics[f"result/{side}"] == pytest.approx(accuracy, abs=1e-6)
        tag = f"test/{side}/precision_recall"
        (curve,) = served.get(f"plugin/pr_curves/pr_curves?tag={quote(tag)}&run={quote(run)}")[run]
        assert (curve["true_positives"][0], curve["false_positives"][0]) == (
            facts["test_class_1"],
            facts["test_class_0"],
        )
    layout = served.get("plugin/custom_scalars/layout")
    assert [category["title"] for category in layout["category"]] == ["Results", "Calibration", "Training"]
    tags = layout["category"][0]["chart"][0]["multiline"]["tag"]
    drawn = served.get(f"plugin/custom_scalars/scalars?run={quote('naive/by seed')}&tag={quote(tags[0])}")
    assert list(drawn["tag_to_events"]) == ["by_seed/floor"]
    (text,) = served.get(f"plugin/text/text?run=summary&tag={quote('recipe')}")
    assert "kind: confidence" in text["text"]


def _hostless(pid: int) -> None:
    """No socket of the process or of those it began listens to other machines."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    listening = [
        one.laddr.ip for each in processes for one in each.net_connections() if one.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_write_alone_starts_nothing_and_a_bad_port_is_a_line(copied: Finished) -> None:
    done = w2s("board", copied.recipe, "--store", copied.store, "--write")
    assert (done.code, done.err) == (0, "")
    assert Path(done.out.rpartition(": ")[2].strip()).is_dir()
    whole = w2s("board", "--store", copied.store, "--write")
    assert whole.out == f"all runs of {copied.store}: {copied.store}/tensorboard\n"
    refused = w2s("board", copied.recipe, "--store", copied.store, "--port", "70000")
    assert (refused.code, refused.err) == (2, "w2s: --port: 70000 is no port; give one from 1 to 65535, or none\n")
    nowhere = w2s("board", "--store", copied.store / "none")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert nowhere.err.endswith("/none: has nothing to show; name another --store, or a recipe\n")
    assert not (copied.store / "none").exists()


def test_a_run_shows_its_results_and_survives_a_board_that_cannot_be_written(copied: Finished) -> None:
    results = copied.store / "tensorboard" / "recipes"
    assert sorted(path.name for path in results.iterdir()) == [f"toy-{load(str(copied.recipe)).fingerprint}"]
    before = w2s("run", copied.recipe, "--store", copied.store)
    (place,) = results.iterdir()
    place.rename(place.with_name("away"))
    place.write_text("in the way", encoding="utf-8")
    (page,) = (copied.store / "reports").glob("*/report.html")
    page.unlink()  # with nothing to do, a run draws what is not there
    done = w2s("run", copied.recipe, "--store", copied.store)
    assert done.code == 0
    assert done.err.startswith("TensorBoard shows no results of this run: ")
    assert done.out.splitlines()[:5] == before.out.splitlines()[:5]
