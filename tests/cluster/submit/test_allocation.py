"""What a job knows of itself: its nodes in the right order, its CPUs, and the name by which it goes back to the queue."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from cluster.errors import BadEnvironment
from cluster.submit.allocation import allocation, cpus_per_node
from cluster.submit.scontrol import JobNow, parse_job

ENV = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "w[1-3]", "SLURM_JOB_CPUS_PER_NODE": "4(x2),8"}


def names(nodelist: str) -> tuple[str, ...]:
    assert nodelist == "w[1-3]"
    return ("w1", "w2", "w3")


def addresses(nodes: Sequence[str]) -> dict[str, str]:
    return {name: f"{name}.ib" for name in nodes}


def test_a_plain_job() -> None:
    given = allocation(ENV, names, addresses)
    assert (given.job, given.slurm_job, given.element, given.restarts) == ("12", "12", 0, 0)
    assert given.nodes == ("w1", "w2", "w3")
    assert given.cpus == (4, 4, 8)
    assert given.hosts == ("w1.ib", "w2.ib", "w3.ib")


def test_the_node_of_the_batch_script_comes_first_with_what_is_its_own() -> None:
    given = allocation({**ENV, "SLURMD_NODENAME": "w3", "SLURM_RESTART_COUNT": "2"}, names, addresses)
    assert given.nodes == ("w3", "w1", "w2")
    assert given.cpus == (8, 4, 4)
    assert given.restarts == 2


def test_an_element_is_called_by_its_array() -> None:
    """Also the last one, whose own number is the whole array's: going back by that would take all with it."""
    array = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    given = allocation({**ENV, **array}, names, addresses)
    assert (given.job, given.slurm_job, given.element) == ("12_3", "12", 3)


def test_outside_of_a_job_it_says_so() -> None:
    with pytest.raises(BadEnvironment, match=r"SLURM_JOB_ID.*is not set; .*batch script"):
        allocation({}, names, addresses)


@pytest.mark.parametrize(
    ("text", "counts"), [("2", [2]), ("2(x3)", [2, 2, 2]), ("2(x2),4", [2, 2, 4]), ("1,16(x1)", [1, 16])]
)
def test_cpus_per_node(text: str, counts: list[int]) -> None:
    assert cpus_per_node(text) == counts


def test_what_slurm_says_of_a_job() -> None:
    text = "JobId=12 JobName=a JobState=RUNNING Reason=None Restarts=1 EndTime=2026-11-22T00:31:15 Deadline=N/A"
    now = parse_job(text)
    assert now.goes_on
    assert now.ends is not None
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now.ends)) == "2026-11-22T00:31:15"
    assert parse_job("JobId=12 JobState=COMPLETING EndTime=Unknown") == JobNow("COMPLETING")
    assert not parse_job("").goes_on
