"""Events as lines, as JSON, as a live display."""

from __future__ import annotations

import io
import json

import pytest

from cluster.display import Display
from cluster.errors import StageFailed
from cluster.events import Event
from cluster.monitor import JsonLines, Lines, Monitor
from cluster.watch import slug
from tests.cluster.targets import graph, job

A = job("toy/train tiny on weak (truth, xent) s0")
FAILURE = {
    "error": StageFailed("train", "loss nan", "lower lr").record(),
    "tail": ["RuntimeError: x"],
    "log": "/logs/a.log",
}
STORY = [
    Event("planned", data={"total": 3, "cached": 1}),
    Event("started", A.key, {"host": "h", "pid": 1, "device": "cpu"}),
    Event("progress", A.key, {"done": 5, "total": 10, "unit": "step"}),
    Event("scalar", A.key, {"name": "train/loss", "value": 0.5, "step": 5}),
    Event("done", A.key, {"seconds": 83.0, "metrics": {"accuracy": 0.75}}),
]


def test_lines_tell_changes_of_state_and_nothing_else() -> None:
    out = io.StringIO()
    lines = Lines(graph(A), out)
    for event in STORY:
        lines(event)
    told = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert told == [
        "[1/3] 3 stages, 1 already in the store",
        f"[1/3] started  {A.name} (cpu, h)",
        f"[2/3] done     {A.name} (1:23)  accuracy 0.750",
    ]


def test_a_note_of_the_whole_run_is_shown_and_a_stages_own_is_left_to_its_log() -> None:
    out, screen = io.StringIO(), io.StringIO()
    lines, display = Lines(graph(A), out), Display(graph(A), screen)
    for event in (Event("note", A.key, {"text": "1,600 rows"}), Event("note", data={"text": "stopping: node drains"})):
        lines(event)
        display(event)
    display.close()
    assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == ["[0/0] stopping: node drains"]
    assert "stopping: node drains" in screen.getvalue()
    assert "1,600 rows" not in screen.getvalue()


def test_a_failure_shows_its_last_lines_and_where_the_rest_is() -> None:
    out = io.StringIO()
    Lines(graph(A), out)(Event("failed", A.key, FAILURE))
    assert "train: loss nan; lower lr" in out.getvalue()
    assert "| RuntimeError: x" in out.getvalue()
    assert "log: /logs/a.log" in out.getvalue()


def test_json_lines_parse(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = JsonLines(graph(A))
    for event in STORY:
        monitor(event)
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [r["event"] for r in records] == [e.kind for e in STORY]
    assert records[-1]["metrics"] == {"accuracy": 0.75}


def test_what_takes_long_is_told_now_and_then() -> None:
    out = io.StringIO()
    lines = Lines(graph(A), out, heartbeat_s=60.0)
    for event in STORY[:-1]:
        lines(event)
    out.truncate(0)
    lines.tick()
    assert out.getvalue() == ""
    lines._beaten -= 61.0
    lines.tick()
    assert out.getvalue() == "", "what has just begun is not told"
    lines.running[A.key].since -= 100.0
    lines._beaten -= 61.0
    lines.tick()
    lines.tick()
    stage, whole = (line.split(" ", 1)[1] for line in out.getvalue().replace("\0", "").splitlines())
    assert stage.startswith(f"[1/3] running  {A.name}:  5/10 step  loss 0.500  ")
    assert whole.startswith("[1/3] 1 running, 1 waiting, 0 failed")


def test_a_reader_that_has_gone_away_does_not_stop_a_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Lines(graph(A), Gone()) as lines:
        for event in STORY:
            lines(event)
    assert lines.done == 1


def test_what_is_announced_is_said_by_every_monitor_in_its_own_way() -> None:
    said = {}
    for kind in (Monitor, Lines, JsonLines):
        out = io.StringIO()
        kind({}, out).announce("stopping")
        said[kind.__name__] = out.getvalue()
    assert said["Monitor"] == "stopping\n"
    assert said["Lines"].endswith("[0/0] stopping\n")
    assert json.loads(said["JsonLines"])["text"] == "stopping"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a b/c (d, e) s0", "a-b/c-d-e-s0"),
        ("../../etc/passwd", "etc/passwd"),
        ("x" * 300, "x" * 100),
        ("a\nb$(c)", "a-b-c"),
    ],
)
def test_slugs_are_safe_paths(text: str, safe: str) -> None:
    assert slug(text) == safe
