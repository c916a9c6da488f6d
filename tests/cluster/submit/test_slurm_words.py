"""Slurm's ways to write nodes, times, exit codes and reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.submit import slurm_words as words
from cluster.submit.slurm_reasons import explain, explain_end

NODES = {
    "w1": ("w1",),
    "w[1-3,7]": ("w1", "w2", "w3", "w7"),
    "gpu[08-11]": ("gpu08", "gpu09", "gpu10", "gpu11"),
    "a[1-2],b,c[3]-ib": ("a1", "a2", "b", "c3-ib"),
    "r[1-2]n[01-02]": ("r1n01", "r1n02", "r2n01", "r2n02"),
    "w[1-": ("w[1-",),
    "w[3-1]": ("w[3-1]",),
    "w[x]": ("w[x]",),
    "w[1-9999999999]": ("w[1-9999999999]",),
    "(null)": (), "None assigned": (), "": (),
}  # fmt: skip
TIMES = {
    "0:59": 59, "2:05": 125, "1:02:03": 3723, "1-02": 93_600, "1-02:03": 93_780, "1-02:03:04": 93_784,
    "00:00:12.345": 12, "UNLIMITED": None, "N/A": None, "INVALID": None, "": None, "1-2-3": None, "1:2:3:4": None,
}  # fmt: skip


@pytest.mark.parametrize("text", NODES)
def test_node_lists(text: str) -> None:
    assert words.node_names(text) == NODES[text]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20, unique=True))
def test_every_node_of_a_list_is_there_once(numbers: list[int]) -> None:
    found = words.node_names(f"n[{','.join(f'{number:03d}' for number in numbers)}]")
    assert found == tuple(f"n{number:03d}" for number in numbers)


@pytest.mark.parametrize("text", TIMES)
def test_durations(text: str) -> None:
    assert words.seconds(text) == TIMES[text]


def test_elements() -> None:
    assert words.elements("3") == (3,)
    assert words.elements("[0-2,5%2]") == (0, 1, 2, 5)
    assert words.elements("0-6:3") == (0, 3, 6)
    assert words.elements("N/A") == words.elements("") == words.elements("0-9999999999") == ()


def test_exit_codes() -> None:
    found = [words.exit_code(text) for text in ("768", "0", "15", "3:0", "0:9", "N/A", "x:y")]
    assert found == [3, 0, 143, 3, 137, None, None]


def test_states() -> None:
    told = (
        "PENDING",
        "REQUEUED",
        "RUNNING",
        "COMPLETING",
        "COMPLETED",
        "CANCELLED by 0",
        "CANCELLED+",
        "TIMEOUT",
        "NEW",
    )
    found = [words.state(word) for word in told]
    assert found == ["pending"] * 2 + ["running"] * 2 + ["done"] + ["cancelled"] * 2 + ["failed", "unknown"]


REASONS = {
    "Priority": "before it in the queue",
    "Resources": "nodes to become free",
    "QOSMaxGRESPerUser": "when something of yours ends",
    "QOSMaxWallDurationPerJobLimit": "one job",
    "QOSGrpNodeLimit": "everybody in this QOS",
    "AssocGrpCPUMinutesLimit": "your account has reached its limit",
    "AssocMaxWallDurationPerJobLimit": "your account allows one job",
    "BeginTime": "after a requeue Slurm holds",
    "JobHeldUser": "scontrol release",
    "PartitionTimeLimit": "shorter --time",
    "(ReqNodeNotAvail, UnavailableNodes:w[1-2])": "UnavailableNodes:w[1-2]: nodes it needs are down",
    "ReqNodeNotAvail,_UnavailableNodes:w1": "UnavailableNodes:w1: nodes it needs are down",
    "DependencyNeverSatisfied": "never start",
    "RaisedSignal:9(Killed)": "ended by a signal",
}


@pytest.mark.parametrize("reason", REASONS)
def test_reasons_in_plain_words(reason: str) -> None:
    assert REASONS[reason] in explain(reason)


def test_a_reason_nobody_knows_stands_for_itself() -> None:
    assert explain("SomethingNew") == "SomethingNew"


def test_why_it_ended() -> None:
    assert "longer grace" in explain_end("TIMEOUT", "TimeLimit", 0)
    assert explain_end("FAILED", "NonZeroExitCode", 3) == "exit code 3"
    assert "ended by a signal" in explain_end("FAILED", "RaisedSignal:9(Killed)", 137)
    assert explain_end("CANCELLED by 1000", "", 0) == "CANCELLED by 1000"
    assert explain_end("COMPLETED", "None", 0) == ""
