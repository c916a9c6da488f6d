"""Batch scripts: golden files, values that try to be more than values, and the body under a real bash."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput
from cluster.submit.order import RAY_ADDRESS, Command, Order, Size
from cluster.submit.site import Site
from cluster.submit.slurm_text import checkout, package_slurm, sbatch_text
from tests.conftest import ROOT
from tests.w2s.command import check_golden

RUN = (Command("sciq", ("-m", "w2s", "run", "/shared/jobs/sciq.1/recipes/0.yaml", "--ray-address", RAY_ADDRESS)),)
PLAIN = Order("sciq.1", "slurm", "/shared/jobs/sciq.1", "/shared", "openai/sciq", (RUN,))
SPY = """#!/bin/bash
printf "%s\\0" "$@" > args; env -0 > env; umask > umask; grep SigIgn /proc/self/status > ignored
exit 7
"""
HOSTILE = "$(touch X) `touch X` ; touch X\" ' \\ é 弱 # %j ${HOME} && touch X"
FULL = Site(
    account="my-project", partition="gpu,long", qos="high", constraint="[rack1|rack2]&ib", reservation="course_1",
    extra=("--mail-type=FAIL", "-M main --nice=10"), gpu_type="a100", grace_s=300,
    setup=("module load cuda/12.4", 'source "$HOME/envs/w2s/bin/activate"'), environment={"HF_HUB_OFFLINE": "1", "BOTH": "site"},
)  # fmt: skip
SCRIPTS: dict[str, tuple[Order, Site, str, str]] = {
    "plain": (PLAIN, Site(), "/opt/w2s/bin/python", ""),
    "full": (
        replace(PLAIN, size=Size(4, 8, 96, 480_000, 2 * 86_400 + 3723), dependency="afterok:12:13", environment={"BOTH": "order"}),
        FULL, "/opt/w2s/bin/python", "",
    ),
    "array": (replace(PLAIN, elements=(RUN,) * 10, throttle=4, size=Size(2, 4)), Site(exclusive=False), "/opt/w2s/bin/python", ""),
    "gres": (replace(PLAIN, size=Size(1, 2)), Site(gpu_flag="gres", gpu_type="h100"), "/opt/w2s/bin/python", ""),
    "awkward": (
        replace(PLAIN, recipe=HOSTILE, folder=f"/shared/{HOSTILE.replace(chr(92), '')}", environment={"VALUE": HOSTILE, "EMPTY": ""}),
        Site(), f"/opt/{HOSTILE}/python", f"/opt/{HOSTILE}",
    ),
}  # fmt: skip


def text(name: str) -> str:
    order, site, python, pythonpath = SCRIPTS[name]
    return sbatch_text(order, site, python, pythonpath=pythonpath)


@pytest.mark.parametrize("name", SCRIPTS)
def test_golden(name: str) -> None:
    check_golden(f"sbatch/{name}.sbatch", text(name))
    subprocess.run(["bash", "-n"], input=text(name), text=True, check=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_line_says_why_it_is_there(name: str) -> None:
    above = ""
    for line in text(name).splitlines():
        if line.startswith("#SBATCH") or (line and not line.startswith("#")):
            assert above.startswith(("#", "module", "export")), f"no remark above: {line}"
        above = line


def test_flags_come_before_the_first_command() -> None:
    """sbatch reads no further than that."""
    lines = text("full").splitlines()
    first = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[first:] if line.startswith("#SBATCH")]


def test_the_body_executes_nothing_that_is_a_value(tmp_path: Path) -> None:
    folder, code = tmp_path / "st'or e", tmp_path / "co:de $(touch X)"
    python = tmp_path / "py `touch X`" / "python"
    python.parent.mkdir()
    python.write_text(SPY)
    python.chmod(0o755)
    order = replace(PLAIN, folder=str(folder), recipe=HOSTILE, environment={"VALUE": HOSTILE, "BOTH": "order"})
    site = Site(setup=("export LATE=$NEVER_SET",), environment={"BOTH": "site", "OWN": HOSTILE[::-1]})
    script = tmp_path / "run.sbatch"
    script.write_text(sbatch_text(order, site, str(python), pythonpath=str(code)), encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    env = {**os.environ, "SLURM_EXPORT_ENV": "NONE", "PYTHONPATH": "/before"}
    done = subprocess.run(["bash", script], cwd=work, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
    assert not list(tmp_path.rglob("X"))
    assert (work / "args").read_text().split("\0")[:-1] == ["-u", "-m", "cluster.submit.chief", str(folder)]
    found = dict(pair.partition("=")[::2] for pair in (work / "env").read_text().split("\0"))
    assert found["VALUE"] == HOSTILE
    assert found["OWN"] == HOSTILE[::-1]
    assert found["BOTH"] == "order"
    assert found["PYTHONPATH"] == f"{code}:/before"
    assert "SLURM_EXPORT_ENV" not in found
    assert (work / "umask").read_text().strip() == "0077"
    assert int((work / "ignored").read_text().split()[1], 16) & 1 << 9, "USR1 would end what has no handler yet"


def test_a_setup_line_that_fails_is_named(tmp_path: Path) -> None:
    script = sbatch_text(PLAIN, Site(setup=("true", "module_that_is_not there", "touch after")), "python")
    done = subprocess.run(["bash"], input=script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "the batch script stopped at line" in done.stderr
    assert "module_that_is_not there" in done.stderr
    assert not (tmp_path / "after").exists()


BAD: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "newline in the recipe": ("the recipe's name", {"recipe": "a\n#SBATCH --uid=0"}, {}),
    "newline in a value": ("VALUE", {"environment": {"VALUE": "a\ntouch X"}}, {}),
    "escape in a value": ("VALUE", {"environment": {"VALUE": "\x1b[2J"}}, {}),
    "half a character": ("VALUE", {"environment": {"VALUE": "\udcff"}}, {}),
    "variable's name": ("environment", {"environment": {"A=$(touch X)": "1"}}, {}),
    "newline in the folder": ("the order's folder", {"folder": "/a\n#SBATCH --uid=0"}, {}),
    "relative folder": ("order sciq.1", {"folder": "jobs/sciq.1"}, {}),
    "id": ("job 'a b'", {"id": "a b"}, {}),
    "no elements": ("order sciq.1", {"elements": ()}, {}),
    "no nodes": ("nodes", {"size": Size(0)}, {}),
    "nodes as text": ("nodes", {"size": Size("1\n#SBATCH --uid=0")}, {}),  # type: ignore[arg-type]
    "dependency": ("dependency", {"dependency": "afterok:1\n#SBATCH --uid=0"}, {}),
    "account": ("account", {}, {"account": "a b"}),
    "partition": ("partition", {}, {"partition": "a;$(touch X)"}),
    "constraint": ("constraint", {}, {"constraint": "a'b"}),
    "gpu_type": ("gpu_type", {"size": Size(1, 1)}, {"gpu_type": "a100 "}),
    "newline in a flag": ("extra", {}, {"extra": ("--nice=1\ntouch X",)}),
    "no flag": ("extra", {}, {"extra": ("touch X",)}),
    "our flag": ("extra", {}, {"extra": ("--signal=TERM",)}),
    "our flag, short": ("extra", {}, {"extra": ("-p high",)}),
    "our flag, two words": ("extra", {}, {"extra": ("--output x",)}),
    "notice as long as the limit": ("time limit", {"size": Size(time_s=300)}, {"grace_s": 240}),
    "grace": ("grace", {"size": Size(time_s=10**6)}, {"grace_s": 70_000}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_can_be_no_part_of_a_script_is_refused_by_name(name: str) -> None:
    where, order, site = BAD[name]
    with pytest.raises(BadInput) as refused:
        sbatch_text(replace(PLAIN, **order), replace(Site(), **site), "python")
    assert refused.value.where == where
    assert "\n" not in str(refused.value)


def test_a_value_through_no_filter_is_a_mistake_of_ours() -> None:
    from cluster.submit import slurm_text

    with pytest.raises(TypeError, match="through no filter"):
        slurm_text._environment().from_string("{{ value }}").render(value="a")


def test_the_template_is_found_in_a_checkout() -> None:
    assert package_slurm() == ROOT / "slurm"
    assert checkout() == str(ROOT)
