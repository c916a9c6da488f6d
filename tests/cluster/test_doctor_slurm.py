"""doctor --slurm: what it says of Slurms made up, and of commands that are missing, mute or broken (the real: tests/slurm)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cluster import doctor_slurm, slurm_look
from cluster.slurm_look import Partition
from cluster.slurm_probe import SeenNode
from cluster.submit.site import Site
from tests.w2s.command import w2s

LOW = Partition("low", True, True, 3600.0, {"idle": 2, "down": 1}, 64, 512_000, 8)
SINFO = """\
low*|up|1:00:00|2|idle|64|512000|gpu:a100:8(S:0-1)
low*|up|1:00:00|1|down*|32+|256000+|gpu:4,gpu:h100:2,craynetwork:4
high|inact|infinite|1|mixed|2|1000|(null)
garbage
"""


def test_what_sinfo_and_scontrol_print_is_read() -> None:
    low, high = slurm_look.parse_partitions(SINFO)
    assert low == LOW
    assert low.nodes == 3
    assert high == Partition("high", False, False, None, {"mixed": 1}, 2, 1000, 0)
    text = "Configuration data as of now\nKillWait                = 30 sec\nPreemptMode=REQUEUE\nX = a=b\n"
    assert slurm_look.parse_config(text) == {"KillWait": "30 sec", "PreemptMode": "REQUEUE", "X": "a=b"}


@pytest.mark.parametrize(
    "site, part, words",
    [
        ({}, {}, ""),
        ({"partition": "low"}, {"is_default": False}, ""),
        ({"partition": "lwo"}, {}, "did you mean 'low'? there are: low"),
        ({}, {"up": False}, "takes no jobs"),
        ({}, {"states": {"down": 2, "drained": 1}}, "has no node that works"),
        ({"gpus_per_node": 9}, {}, "gpus_per_node is 9"),
        ({"time_limit_s": 5400}, {}, "time_limit is 90m"),
        ({"cpus_per_node": 65}, {}, "cpus_per_node is 65"),
        ({"memory_per_node_mib": 600_000}, {}, "memory_per_node is 600000 MiB"),
        ({}, {"is_default": False}, "set `partition` in the site file to one of: low"),
    ],
)
def test_partitions_are_held_against_the_site(site: dict[str, object], part: dict[str, object], words: str) -> None:
    ours = Site(**{"time_limit_s": 3600, **site})  # type: ignore[arg-type]
    told = list(doctor_slurm.partitions([dataclasses.replace(LOW, **part)], ours))  # type: ignore[arg-type]
    assert ("fail" in [one.state for one in told]) == bool(words)
    assert words in "".join(one.found + one.remedy for one in told)


def test_settings_that_matter() -> None:
    assert doctor_slurm.preemption({}).found == "off"
    on = {"PreemptType": "preempt/partition_prio", "PreemptMode": "REQUEUE"}
    assert doctor_slurm.preemption(on).state == "warn"
    assert (
        doctor_slurm.preemption({**on, "PreemptMode": "CANCEL", "PreemptParameters": "send_user_signal"}).state
        == "warn"
    )
    assert doctor_slurm.preemption({**on, "SlurmctldParameters": "preempt_send_user_signal"}).state == "ok"
    assert doctor_slurm.preemption({**on, "PreemptParameters": "send_user_signal"}).state == "ok"
    assert doctor_slurm.kill_wait({"KillWait": "5 sec"}).state == "warn"
    assert doctor_slurm.kill_wait({"KillWait": "30 sec"}).state == doctor_slurm.kill_wait({}).state == "ok"
    assert "ask for it themselves" in doctor_slurm.requeue({"JobRequeue": "0"}).found
    assert doctor_slurm.accounting({"AccountingStorageType": "accounting_storage/slurmdbd"}).found.endswith("slurmdbd")
    assert (
        "forgets a job 300 sec"
        in doctor_slurm.accounting({"AccountingStorageType": "(null)", "MinJobAge": "300 sec"}).found
    )
    assert doctor_slurm.account("x", None).state == doctor_slurm.account(None, ["x"]).state == "ok"
    assert doctor_slurm.account("y", ["x"]).state == "fail"
    assert doctor_slurm.shared("/s", "lustre").state == doctor_slurm.shared("s3://b", "").state == "ok"
    assert doctor_slurm.shared("/s", "ext4").state == "warn"


def test_what_the_probe_saw() -> None:
    one, two = SeenNode("w1", "3.11.7", "", "", 0.1), SeenNode("w2", "3.11.7", "", "", -0.1)
    assert [told.state for told in doctor_slurm.nodes("/s", [one, two])] == ["ok"] * 4
    blind = dataclasses.replace(
        two, store="is another folder there", unreached="not tried", apart_s=None, python="3.12.0"
    )
    assert [told.state for told in doctor_slurm.nodes("/s", [one, blind])] == ["fail", "fail", "fail", "ok"]
    late = dataclasses.replace(two, apart_s=-60.0)
    [*_, clocks] = doctor_slurm.nodes("/s", [one, late])
    assert (clocks.state, clocks.found) == ("warn", "60.0 s apart")
    assert len(list(doctor_slurm.nodes("/s", [SeenNode("w1", "3.11.7", "")]))) == 2


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = w2s("doctor", "--slurm", "--store", tmp_path)
    assert told.code == 3
    assert told.out.startswith("fail  commands ")
    assert "login node" in told.out


@pytest.mark.parametrize(
    "ping, code, words",
    [
        ("Slurmctld(primary) at ctl is DOWN", 1, "slurmctld does not answer"),
        ("Slurmctld(primary) at ctl is UP", 0, "there is no default partition"),
    ],
)
def test_a_slurm_that_is_down_or_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ping: str, code: int, words: str
) -> None:
    for name in (*slurm_look.NEEDED, "sacctmgr"):
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\ncase $1 in\nping) echo '{ping}'; exit {code};;\n*) echo nonsense;;\nesac\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(slurm_look, "USEFUL", ())
    told = w2s("doctor", "--slurm", "--store", tmp_path, "--json")
    assert told.code == 3
    assert words in told.out
    assert "Traceback" not in told.out + told.err
