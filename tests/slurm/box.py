"""A real Slurm of three virtual nodes on this machine, for tests: its own munged, slurmctld and slurmds on private ports.

Nodes w1 to w3 have two CPUs and two GPUs each; the GPUs are plain files, so that Slurm hands out what is not there. Jobs
of the partition `high` pre-empt those of `low`, with notice. Several such boxes live side by side on one machine.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NODES = ("w1", "w2", "w3")
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
GRACE_S = 20  # what a pre-empted job gets after its notice
TURN_S = 0.2

CONF = """\
ClusterName=box
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_min_interval=100000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
MpiDefault=none
GresTypes=gpu
KillWait=10
SlurmdTimeout=12
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
NodeName=w[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=4000 Gres=gpu:2
PartitionName=low  Nodes=w[1-3] Default=YES MaxTime=60 DefMemPerNode=1000 PriorityTier=1  PreemptMode=REQUEUE GraceTime={grace}
PartitionName=high Nodes=w[1-3]             MaxTime=60 DefMemPerNode=1000 PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str:
    """Why there can be no Slurm here; "" when there can."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # Debian's daemons, for a path that has no sbin
    absent = [name for name in DAEMONS if shutil.which(name, path=path) is None]
    if absent:
        return f"no {', '.join(absent)} here: install slurm-wlm and munge"
    if getpass.getuser() != "root" or os.geteuid() != 0:
        return "a Slurm of our own needs root"
    return ""


@dataclass
class Slurm:
    """A running box. `env` is the environment in which Slurm's commands and ours mean this box."""

    folder: Path
    env: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    # ---- commands

    def run(self, *argv: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """What a command of Slurm's prints. It fails the test with what the command said, unless `check` is off."""
        done = subprocess.run(
            [str(word) for word in argv],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout.strip()

    def sbatch(self, script: str | Path, *flags: str, env: Mapping[str, str] | None = None) -> str:
        """Submit a script (a file, or a text that begins with #!) and give its job's number."""
        text, words = (script, []) if isinstance(script, str) else (None, [str(script)])
        argv = ["sbatch", "--parsable", *flags, *words]
        done = subprocess.run(
            argv, env={**self.env, **(env or {})}, input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().partition(";")[0]

    def squeue(self, *jobs: str) -> str:
        """The lines of `squeue`, ended jobs too while Slurm remembers them."""
        select = ["--jobs", ",".join(jobs)] if jobs else []
        return self.run("squeue", "--states=all", *select, check=False)

    def show(self, job: str) -> str:
        """`scontrol show job`, as it is."""
        return self.run("scontrol", "show", "job", job)

    def facts(self, job: str) -> dict[str, str]:
        """A job's (an element's: 12_3) fields as `scontrol show job` has them: JobState, Reason, Restarts, NodeList, ExitCode..."""
        return dict(re.findall(r"(?:^|\s)([A-Za-z][A-Za-z:/_]*)=(\S*)", self.run("scontrol", "-o", "show", "job", job)))

    def state(self, job: str) -> str:
        return self.facts(job)["JobState"]

    # ---- waiting

    def until(self, true: Callable[[], bool], timeout_s: float, what: str = "") -> None:
        """Wait for a condition; the test fails with the queue and the controller's last words when it does not come."""
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}\n{self.told()}"
            time.sleep(TURN_S)

    def wait_for(self, job: str, *states: str, timeout_s: float = 60) -> dict[str, str]:
        """Wait until a job is in one of some states (RUNNING, COMPLETED, ...); its facts then."""
        facts: dict[str, str] = {}

        def there() -> bool:
            facts.update(self.facts(job))
            return facts["JobState"] in states

        self.until(there, timeout_s, f"job {job} is {' or '.join(states)}")
        return facts

    def wait_for_requeue(self, job: str, restarts: int = 1, timeout_s: float = 60) -> dict[str, str]:
        """Wait until a job is back in the queue for the so-manieth time; its facts then."""
        facts: dict[str, str] = {}

        def there() -> bool:
            facts.update(self.facts(job))
            over = facts["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
            assert not over, f"job {job} has ended: {facts['JobState']}, exit code {facts['ExitCode']}"
            return int(facts["Restarts"]) >= restarts and facts["JobState"] == "PENDING"

        self.until(there, timeout_s, f"job {job} is back in the queue")
        return facts

    def start_now(self, job: str) -> None:
        """End the two minutes for which Slurm holds a job back that was requeued."""
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    # ---- nodes

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        with open(self.folder / "log" / f"{name}.out", "ab") as out:
            argv = ["slurmd", "-D", "-N", name, "-f", str(self.folder / "slurm.conf")]
            self.daemons[name] = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def kill_node(self, name: str) -> None:
        """A node loses its power: its daemon and everything that runs on it is gone at once."""
        doomed = [psutil.Process(self.daemons[name].pid), *self._steps(name)]
        for process in list(doomed):
            with contextlib.suppress(psutil.NoSuchProcess):
                doomed += process.children(recursive=True)
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.daemons.pop(name).wait()

    def revive_node(self, name: str, timeout_s: float = 30) -> None:
        """Power for a node that was killed; waits until jobs can run on it.

        Slurm may still think the old daemon there: it has to hear of the new one first, or it ends what it then runs there.
        """
        before = self._started(name)
        self.start_node(name)
        self.until(lambda: self._started(name) != before and self._is_up(name), timeout_s, f"{name} is up")

    def _started(self, name: str) -> str:
        """When a node's daemon started, as far as Slurm has heard."""
        told = self.run("scontrol", "--oneliner", "show", "node", name, check=False)
        return next((word for word in told.split() if word.startswith("SlurmdStartTime=")), "")

    def all_up(self) -> bool:
        return all(self._is_up(name) for name in NODES)

    def _is_up(self, name: str) -> bool:
        state = self.run("sinfo", "--noheader", "--Node", "-n", name, "-o", "%T", check=False).split("\n")[0]
        return state in ("idle", "mixed", "allocated", "completing")

    def steps(self) -> list[psutil.Process]:
        """The slurmstepds of all nodes: what a job runs is below them."""
        return [step for name in NODES for step in self._steps(name)]

    def _steps(self, name: str) -> list[psutil.Process]:
        """The slurmstepds of a node: those that write to its log."""
        log = str(self.folder / "log" / f"slurmd.{name}.log")
        found = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.info["name"] == "slurmstepd" and any(file.path == log for file in process.open_files()):
                    found.append(process)
        return found

    # ---- the box

    def told(self) -> str:
        """The queue, and the last lines of the controller's log."""
        log = self.folder / "log" / "slurmctld.log"
        lines = log.read_text(errors="replace").splitlines()[-30:] if log.exists() else []
        return "\n".join([self.squeue(), *lines])

    def stop(self) -> None:
        """End all jobs and daemons, by pid, and remove the folder."""
        self.run("scancel", "--user=root", check=False)
        with contextlib.suppress(AssertionError):
            self.until(lambda: not self.run("squeue", "--noheader", check=False), 20)
        leftover = self.steps()
        leftover += [child for step in leftover for child in step.children(recursive=True)]
        for process in reversed([*self.daemons.values()]):
            process.terminate()
        for process in reversed([*self.daemons.values()]):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()
        for step in leftover:
            with contextlib.suppress(psutil.NoSuchProcess):
                step.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def start() -> Slurm:
    """A box with all nodes up, seconds from now. Raises AssertionError with the daemons' words when they do not come up."""
    folder = Path(tempfile.mkdtemp(prefix="w2s-slurm-", dir="/tmp"))  # short: sockets are in it
    folder.chmod(0o755)  # munged wants its socket within everybody's reach
    for name in ("state", "log"):
        (folder / name).mkdir()
    (folder / "gpu0").touch()
    (folder / "gpu1").touch()
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "RAY_"))}
    box = Slurm(folder, {**env, "PATH": path, "SLURM_CONF": str(folder / "slurm.conf")})
    try:
        munge = _munge(box)
        ports = _free_ports(1 + len(NODES))
        conf = CONF.format(
            host=socket.gethostname().partition(".")[0], folder=folder, munge=munge, grace=GRACE_S,
            port=ports[0], first=ports[1], last=ports[-1],
        )  # fmt: skip
        (folder / "slurm.conf").write_text(conf)
        (folder / "gres.conf").write_text(f"NodeName=w[1-3] Name=gpu File={folder}/gpu[0-1]\n")
        with open(folder / "log" / "slurmctld.out", "ab") as out:
            box.daemons["slurmctld"] = subprocess.Popen(
                ["slurmctld", "-D", "-f", str(folder / "slurm.conf")],
                env=box.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        for name in NODES:
            box.start_node(name)
        box.until(box.all_up, 30, "all nodes are up")
    except BaseException:
        box.stop()
        raise
    return box


def _munge(box: Slurm) -> Path:
    """The socket of the machine's munged if that answers, else of one of our own."""
    system = Path("/run/munge/munge.socket.2")
    if system.exists() and subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
        return system
    key, own = box.folder / "munge.key", box.folder / "munge.socket"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    files = [f"--{what}-file={box.folder}/munge.{what}" for what in ("key", "log", "pid", "seed")]
    argv = ["munged", "--foreground", f"--socket={own}", *files]
    with open(box.folder / "log" / "munged.out", "ab") as out:
        box.daemons["munged"] = subprocess.Popen(argv, env=box.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    deadline = time.monotonic() + 20
    while not own.exists():
        assert time.monotonic() < deadline, (box.folder / "log" / "munged.out").read_text()
        time.sleep(TURN_S / 4)
    return own


def _free_ports(count: int) -> list[int]:
    """So many free ports in a row, below those the kernel gives out of itself; chance keeps two boxes apart."""
    for _ in range(100):
        first = random.SystemRandom().randrange(12_000, 20_000 - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("", port))
            except OSError:
                continue
            return list(range(first, first + count))
    raise AssertionError("no free ports for a Slurm")
