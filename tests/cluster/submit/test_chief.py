"""What a job does with what Slurm tells it. Here `srun` and `scontrol` are scripts, and nodes and drivers a few lines each.

The same on a real Slurm, with real Ray: tests/slurm/test_chief.py.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.submit import attempts
from cluster.submit.order import RAY_ADDRESS, Command, Order
from cluster.submit.site import Site
from tests.conftest import ROOT

SRUN = """#!/bin/sh
for word; do case $word in --nodelist=*) node=${word#*=};; esac; done
echo "$@" >> "$BOX/srun.log"
. "$BOX/$node"
"""
SCONTROL = """#!/bin/sh
echo "$@" >> "$BOX/scontrol.log"
case "$*" in
"show hostnames "*) echo n1; echo n2 ;;
*"show node "*) echo "NodeName=n1 NodeAddr=127.0.0.1"; echo "NodeName=n2 NodeAddr=127.0.0.1" ;;
*"show job "*) cat "$BOX/job" ;;
requeue*) if [ -e "$BOX/refuse" ]; then echo "Requested operation is presently disabled" >&2; exit 1; fi; kill -TERM $PPID ;;
esac
"""
UP = """echo '{"what": "up", "address": "127.0.0.1:6379", "cpus": 2, "gpus": 1}'\nwhile read line; do echo '{"what": "here"}'; done\n"""
WORKS = "import time; time.sleep(60)"
SAVES = "import signal, sys, time; signal.signal(signal.SIGUSR1, lambda *a: sys.exit(75)); print('ready', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


@dataclass
class Job:
    """A job of two nodes, and an order of one element unless there is more."""

    folder: Path
    site: Site = field(default_factory=lambda: Site(grace_s=20, up_timeout_s=20))
    env: dict[str, str] = field(default_factory=dict)
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def node(self, name: str, script: str) -> None:
        """What a node's step does."""
        (self.folder / name).write_text(script)

    def slurm_says(self, state: str) -> None:
        (self.folder / "job").write_text(f"JobId=7 JobName=x JobState={state} EndTime=Unknown\n")

    def start(self, *drivers: str, others: tuple[tuple[str, ...], ...] = ()) -> subprocess.Popen[str]:
        """Begin an attempt: drivers are given as Python text."""
        elements = tuple(
            tuple(Command("c", ("-c", text, RAY_ADDRESS)) for text in element) for element in (drivers, *others)
        )
        order = Order("o", "slurm", str(self.folder), str(self.folder), "toy", elements)
        (self.folder / "order.json").write_text(order.to_json())
        (self.folder / "site.json").write_text(json.dumps(dataclasses.asdict(self.site)))
        slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_CPUS_PER_NODE": "2(x2)"}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "BOX": str(self.folder), "PYTHONPATH": str(ROOT), **slurm, **self.env}
        argv = [sys.executable, "-u", "-m", "cluster.submit.chief", str(self.folder)]
        chief = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.begun.append(chief)
        return chief

    def until(self, text: str) -> None:
        """Wait until the last attempt has printed something."""
        said = ""
        for line in self.begun[-1].stdout or ():
            said += line
            if text in line:
                return
        raise AssertionError(said)

    def end(self) -> tuple[int, str]:
        """The exit code of the last attempt, and what it has printed since."""
        said, _ = self.begun[-1].communicate(timeout=60)
        return self.begun[-1].returncode, said

    def told(self, element: int = 0) -> list[str]:
        return [row["what"] for row in attempts.read(self.folder / str(element))]

    @property
    def requeued(self) -> list[str]:
        """The jobs that were put back."""
        lines = (self.folder / "scontrol.log").read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith("requeue")]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    made = Job(tmp_path)
    made.node("n1", UP)
    made.node("n2", UP)
    made.slurm_says("RUNNING")
    yield made
    for chief in made.begun:
        chief.kill()
        chief.wait()
        if chief.stdout:
            chief.stdout.close()


NOTICED = ["begun", "up", "notice", "saved", "requeue"]


def test_it_ends_with_the_exit_code_of_its_drivers(job: Job) -> None:
    env = "import os, sys; print(sys.argv[1], *(os.environ[n] for n in ('W2S_ORDER', 'W2S_ELEMENT', 'W2S_COMMAND', 'W2S_JOURNAL')))"
    job.start(env, "raise SystemExit(5)")
    code, said = job.end()
    assert code == 5
    assert f"127.0.0.1:6379 o 0 0 {job.folder}/0/run-0.json" in said
    assert "2 nodes, 4 CPUs and 2 GPUs" in said
    rows = attempts.read(job.folder / "0")
    assert [row["what"] for row in rows] == ["begun", "up", "ended"]
    assert rows[1]["address"] == "127.0.0.1:6379"
    assert (rows[2]["exit_code"], rows[2]["nodes"]) == (5, ["n1", "n2"])
    steps = (job.folder / "srun.log").read_text().splitlines()
    assert len(steps) == 2
    assert all("--overlap" in step and "--cpus-per-task=2" in step and "--export=ALL" in step for step in steps)
    assert "--head" in steps[0]
    assert "--address 127.0.0.1:6379" in steps[1]


def test_the_token_is_ours_alone_and_gone_at_the_end(job: Job) -> None:
    show = (
        "import os; path = os.environ['RAY_AUTH_TOKEN_PATH']; print(oct(os.stat(path).st_mode), len(open(path).read()))"
    )
    job.start(show)
    code, said = job.end()
    assert (code, "0o100600 64" in said) == (0, True)
    assert not (job.folder / "0" / "attempt-1" / "token").exists()
    assert (job.folder / "0" / "attempt-1").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_told_that_the_end_is_near_it_saves_and_goes_back(job: Job, number: signal.Signals) -> None:
    """SIGTERM is all there is on clusters without preempt_send_user_signal."""
    chief = job.start(SAVES)
    job.until("ready")
    chief.send_signal(number)
    code, said = job.end()
    assert code == 75
    assert "what runs saves where it is" in said
    assert job.requeued == ["7"]
    assert job.told() == NOTICED


def test_an_element_of_an_array_puts_only_itself_back(job: Job) -> None:
    """Slurm's number of the last element is the number of the whole array."""
    job.env = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
    chief = job.start("", others=((SAVES,),))
    job.until("ready")
    chief.send_signal(signal.SIGUSR1)
    assert job.end()[0] == 75
    assert job.requeued == ["7_1"]
    assert job.told(1) == NOTICED


def test_a_driver_that_does_not_save_in_time_is_left_behind(job: Job) -> None:
    job.site = dataclasses.replace(job.site, grace_s=6)
    chief = job.start(DEAF)
    job.until("ready")
    begun = time.monotonic()
    chief.send_signal(signal.SIGUSR1)
    assert job.end()[0] == 75
    assert time.monotonic() - begun < 6
    assert job.requeued == ["7"]
    saved = next(row for row in attempts.read(job.folder / "0") if row["what"] == "saved")
    assert "the last checkpoint counts" in saved["detail"]


def test_work_that_is_done_within_the_notice_is_done(job: Job) -> None:
    chief = job.start(SAVES.replace("75", "0"))
    job.until("ready")
    chief.send_signal(signal.SIGUSR1)
    assert job.end()[0] == 0
    assert job.requeued == []


def test_a_driver_that_asks_to_be_run_again_is(job: Job) -> None:
    job.start("raise SystemExit(75)")
    assert job.end()[0] == 75
    assert job.requeued == ["7"]


def test_where_going_back_is_refused_the_job_says_how_to_go_on(job: Job) -> None:
    (job.folder / "refuse").touch()
    job.start("raise SystemExit(75)")
    code, said = job.end()
    assert code == 75
    assert "Requested operation is presently disabled" in said
    assert f"`sbatch {job.folder}/run.sbatch` goes on" in said
    assert job.told()[-1] == "ended"


def test_a_cancelled_job_never_goes_back(job: Job) -> None:
    chief = job.start(SAVES.replace("SIGUSR1", "SIGTERM"))
    job.until("ready")
    job.slurm_says("CANCELLED")
    chief.send_signal(signal.SIGTERM)
    code, said = job.end()
    assert code == 143
    assert "Slurm ends the job (CANCELLED)" in said
    assert job.requeued == []
    assert job.told() == ["begun", "up", "ended"]


def test_a_node_that_vanishes_sends_the_job_back(job: Job) -> None:
    job.node("n2", UP.partition("while")[0] + f"until [ -e {job.folder}/dead ]; do sleep 0.05; done; exit 1")
    job.start(SAVES)
    job.until("ready")
    (job.folder / "dead").touch()
    code, said = job.end()
    assert code == 75
    assert "node n2 is lost" in said
    assert job.requeued == ["7"]


def test_a_driver_that_fails_because_a_node_is_gone_is_run_again(job: Job) -> None:
    """It knows before Slurm does: the step's end is only told after a while."""
    job.node("n2", UP.partition("while")[0] + "sleep 2; exit 1")
    job.start("raise SystemExit(1)")
    code, said = job.end()
    assert code == 75
    assert "node n2 is lost" in said
    assert job.requeued == ["7"]


def test_cancelled_while_it_saves_it_does_not_come_back_to_life(job: Job) -> None:
    chief = job.start(
        SAVES.replace("sys.exit(75)", f"(open('{job.folder}/job', 'w').write('JobState=CANCELLED'), sys.exit(75))")
    )
    job.until("ready")
    chief.send_signal(signal.SIGUSR1)
    assert job.end()[0] == 143
    assert job.requeued == []


def test_ray_that_ends_by_itself_ends_the_job(job: Job) -> None:
    ended = json.dumps({"what": "ended", "problem": {"where": "Ray on n2", "what": "ended by itself", "remedy": ""}})
    job.node("n2", UP.partition("while")[0] + f"sleep 1; echo '{ended}'; echo oh >&2; exit 3")
    job.site = dataclasses.replace(job.site, grace_s=1)
    job.start(DEAF)
    code, said = job.end()
    assert code == 3
    assert "Ray on n2: ended by itself; last words:\n  n2 | oh" in said
    assert job.requeued == []


def test_nodes_that_do_not_come_up_are_named(job: Job) -> None:
    job.site = dataclasses.replace(job.site, up_timeout_s=2)
    job.node("n2", "echo no route to n1 >&2; exec cat > /dev/null\n")
    job.start(WORKS)
    code, said = job.end()
    assert code == 3
    assert "Ray on 1 of 2 nodes: n2 did not come up within 2 s" in said
    assert "n2 | no route to n1" in said
    assert job.told() == ["begun", "ended"]


def test_a_step_that_slurm_refuses_is_tried_again(job: Job) -> None:
    """A node that has just come back refuses its first steps."""
    job.node("n2", f"if mkdir {job.folder}/once; then echo refused >&2; exit 1; fi\n{UP}")
    job.start("")
    assert job.end()[0] == 0
    assert len((job.folder / "srun.log").read_text().splitlines()) == 3


def test_a_notice_that_comes_while_ray_starts_is_heeded(job: Job) -> None:
    job.node("n2", "exec cat > /dev/null\n")
    chief = job.start(WORKS)
    job.until("attempt 1")
    chief.send_signal(signal.SIGUSR1)
    assert job.end()[0] == 75
    assert job.told() == ["begun", "notice", "saved", "requeue"]


def test_it_stops_when_it_has_gone_back_too_often(job: Job) -> None:
    job.site = dataclasses.replace(job.site, requeues=2)
    job.env = {"SLURM_RESTART_COUNT": "2"}
    job.start("raise SystemExit(75)")
    code, said = job.end()
    assert code == 1
    assert "has gone back to the queue 2 times, and 2 are allowed" in said
    assert job.requeued == []


def test_it_stops_when_two_attempts_in_a_row_got_no_farther(job: Job) -> None:
    says = "import json, os; open(os.environ['W2S_JOURNAL'], 'w').write(json.dumps({'progress': 1.5})); raise SystemExit(75)"
    codes = []
    for _ in range(3):
        job.start(says)
        code, said = job.end()
        codes.append(code)
    assert codes == [75, 75, 1]
    assert "two attempts in a row got no farther" in said
    assert job.requeued == ["7", "7"]
    assert [row["progress"] for row in attempts.read(job.folder / "0") if row["what"] == "begun"] == [None, 1.5, 1.5]


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda job: job.env.update(SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="4"), 2, "has no element 4"),
        (lambda job: job.env.update(SLURM_JOB_CPUS_PER_NODE="2"), 3, "does not fit the nodes"),
        (lambda job: job.env.update(SLURM_JOB_CPUS_PER_NODE="two"), 3, "cannot be read: 'two'"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(job: Job, spoil: Callable[[Job], None], code: int, words: str) -> None:
    spoil(job)
    job.start("")
    got, said = job.end()
    assert (got, words in said) == (code, True), said
    assert "Traceback" not in said
