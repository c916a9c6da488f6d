"""Events as lines, as JSON, as a live display."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from cluster.errors import StageFailed
from cluster.events import Event
from cluster.monitor import Display, JsonLines, Lines, clock
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
    lines, display = Lines(graph(A), out), Display(graph(A), Console(file=screen, width=100))
    for event in (Event("note", A.key, {"text": "1,600 rows"}), Event("note", data={"text": "stopping: node drains"})):
        lines(event)
        display(event)
    assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == ["[0/0] stopping: node drains"]
    assert screen.getvalue().strip() == "stopping: node drains"


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


def test_the_display_shows_what_runs_and_survives_markup_in_names() -> None:
    odd = job("toy/[bold]train[/nonsense] s0")
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Display(graph(odd), console) as display:
        display(Event("planned", data={"total": 2, "cached": 0}))
        display(Event("started", odd.key, {"host": "h", "pid": 1, "device": "cpu"}))
        display(Event("progress", odd.key, {"done": 5, "total": 10, "unit": "step"}))
        display(Event("scalar", odd.key, {"name": "train/loss", "value": 0.25, "step": 5}))
        console.print(display._picture())
        display(Event("done", odd.key, {"seconds": 1.0, "metrics": {}}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]train[/nonsense]" in text
    assert "loss 0.250" in text
    assert "5/10 step" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (42, "42 s"), (200, "3:20"), (7500, "2:05:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


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
