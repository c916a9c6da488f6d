"""Short words for times, rates and what other people's programs print."""

from __future__ import annotations

import pytest

from cluster.tally import Running
from cluster.words import clock, facts, one_line, rate


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (42, "42 s"), (200, "3:20"), (7500, "2:05:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(640.2, "640"), (3210, "3.2k"), (1.4e6, "1.4M")])
def test_rate(number: float, text: str) -> None:
    assert rate(number) == text


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("plain", "plain"),
        (" 10%|#\r 20%|##\n", " 20%|##"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x1b[2Jy", "red xy"),
        ("a\tb\x00c\nd", "a b c d"),
    ],
)
def test_what_others_print_cannot_move_our_cursor(said: str, seen: str) -> None:
    assert one_line(said) == seen


def test_what_is_not_known_of_a_stage_is_left_out() -> None:
    assert facts(Running(0.0, 100.0), 142.0) == {"time": "for 42 s"}
