"""The live display in a pseudo-terminal: what a person sees at several widths, while the window changes, and when things break."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.display import Display
from cluster.events import Event
from tests.cluster.targets import graph, job
from tests.terminal import Screen, Terminal
from w2s.commands.at_work import STOPPING

DUMB = """
from cluster.display import Display
from cluster.events import Event
from cluster.screen import screen

with Display({}, screen()) as display:
    display(Event("planned", data={"total": 2, "cached": 0}))
"""


@contextmanager
def told(how: str, width: int, tmp_path: Path, **env: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "tests.cluster.told", how, tmp_path / "driver.log"]
    terminal = Terminal(command, width, 20, env)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_run_is_watched_and_leaves_only_what_lasts(width: int, tmp_path: Path) -> None:
    with told("well", width, tmp_path) as terminal:
        assert terminal.shows("1 running")
        assert terminal.shows(" left")
        shown = [line for line in terminal.screen.lines() if line]
        assert len(shown) == 2, shown
        assert max(map(len, shown)) < width
        assert shown[1].startswith("toy/train")
        assert ("/30 step" in shown[1], "cpu on node-17" in shown[1]) == (width >= 80, width >= 200)
        assert terminal.wait() == 0
        left = "".join(terminal.screen.lines())  # a line that was too wide was folded
        assert left == f"done     {job_name()} (1:23)  agreement 0.710THE END"
        assert "a library's" not in terminal.raw.decode()
    log = (tmp_path / "driver.log").read_text()
    assert "a library's greeting" in log
    assert "a library's warning" in log


def height(terminal: Terminal) -> int:
    """How many lines are shown."""
    return sum(bool(line) for line in terminal.screen.lines())


def job_name() -> str:
    from tests.cluster.told import TRAIN

    return TRAIN.name


def test_a_window_that_changes_leaves_no_rubbish(tmp_path: Path) -> None:
    with told("well", 120, tmp_path) as terminal:
        assert terminal.shows("cpu on node-17")
        terminal.resize(50, 10)
        assert terminal.read_until(lambda: height(terminal) == 2, 3), terminal.screen.text()
        terminal.resize(30, 8)
        terminal.read_until(lambda: False, 0.4)
        terminal.resize(200, 50)
        assert terminal.shows("cpu on node-17")
        assert terminal.read_until(lambda: height(terminal) == 2, 3), terminal.screen.text()
        assert terminal.wait() == 0
        assert [line for line in terminal.screen.lines() if line] == [
            f"done     {job_name()} (1:23)  agreement 0.710",
            "THE END",
        ]


def test_a_failed_stage_shows_its_last_lines_and_its_log(tmp_path: Path) -> None:
    with told("failing", 100, tmp_path, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
        assert b"\x1b[3" not in terminal.raw, "no colours where the user wants none"
        lines = terminal.screen.lines()
        text = "".join(lines)
        assert f"failed   {job_name()}: loss nan at step 31; lower optim.lr" in text
        assert "         | Traceback" in lines
        assert "         | RuntimeError: x" in lines, "escape sequences of a log do not reach the terminal"
        assert "         log: /store/logs/a.log" in lines
        assert f"not run  toy/grade predict test by tiny-gpt2 on strong s0: needs {job_name()}" in text


@pytest.mark.parametrize("times", [1, 2])
def test_control_c_is_answered_at_once_and_leaves_a_clean_terminal(times: int, tmp_path: Path) -> None:
    with told("halting", 120, tmp_path) as terminal:
        assert terminal.shows("at work")
        for _ in range(times):
            terminal.type("\x03")
            began = time.monotonic()
            assert terminal.shows(STOPPING, 5)
            assert time.monotonic() - began < 1.0
        assert (terminal.wait() == 0) == (times == 1)
        lines = [line for line in terminal.screen.lines() if line]
        assert lines[0] == STOPPING
        if times == 1:
            assert lines[1:] == [f"stopped  {job_name()} (saved; the same command goes on)", "THE END"]
        else:
            assert lines[1].startswith("Traceback")
            assert lines[-1] == "KeyboardInterrupt"
        assert not any("running" in line and "waiting" in line for line in lines), "the picture is taken away"


def test_a_fault_of_the_drawing_falls_back_to_lines(tmp_path: Path) -> None:
    with told("faulty", 100, tmp_path) as terminal:
        assert terminal.wait() == 0
        text = "".join(terminal.screen.lines())
        assert "the display failed (ZeroDivisionError: no such picture); lines from here on" in text
        assert f"[1/2] done     {job_name()} (1:23)" in text
        assert "THE END" in text


def test_a_dumb_terminal_gets_lines() -> None:
    terminal = Terminal([sys.executable, "-c", DUMB], 80, 20, {"TERM": "dumb"})
    try:
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.raw
        assert "[0/2] 2 stages, 0 already in the store" in terminal.screen.text()
    finally:
        terminal.close()


def test_markup_in_names_is_text() -> None:
    odd = job("toy/[bold]train[/nonsense] s0")
    out = io.StringIO()
    display = Display(graph(odd), out, lambda: os.terminal_size((120, 20)))
    display(Event("planned", data={"total": 2, "cached": 0}))
    display(Event("started", odd.key, {"host": "h", "pid": 1, "device": "cpu"}))
    display.tick()
    display(Event("done", odd.key, {"seconds": 1.0, "metrics": {}}))
    display.close()
    assert out.getvalue().count("toy/[bold]train[/nonsense] s0") == 2


def test_what_is_announced_comes_from_a_signal_and_waits_for_nobody() -> None:
    """The handler interrupts the main thread anywhere, even where that holds the lock."""
    out = io.StringIO()
    display = Display({}, out, lambda: os.terminal_size((80, 20)))
    with display, display.lock:
        display.announce("stopping")
    assert out.getvalue().count("stopping\n") == 1


def test_nothing_is_written_where_nothing_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.display.time.monotonic", lambda: 5.0)
    out = io.StringIO()
    display = Display({}, out, lambda: os.terminal_size((80, 20)))
    display.tick()
    before = out.getvalue()
    display.tick()
    assert out.getvalue() == before != ""


def test_the_screen_of_these_tests_folds_like_a_terminal() -> None:
    screen = Screen(10, 5)
    screen.feed("0123456789abc\nx\ry\x1b[1A\r\x1b[J!")
    assert screen.lines() == ["0123456789", "!"]
    wide = Screen(20, 5)
    wide.feed("0123456789abc\n\rfoot")
    wide.resize(5, 5)
    assert wide.lines() == ["01234", "56789", "abc", "foot"]
    assert (wide.row, wide.column) == (3, 4)
