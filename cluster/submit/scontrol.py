"""What a job asks Slurm about itself, from inside: its nodes, whether it is to end, and to be put back into the queue."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.errors import BadEnvironment

PATIENCE_S = 30.0  # a busy controller takes seconds to answer


@dataclass(frozen=True)
class JobNow:
    """A job as Slurm sees it. `ends` is when it must end, in seconds since the epoch; None where Slurm does not say."""

    state: str
    ends: float | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it was neither cancelled nor ended: it may have been warned, or be pre-empted with some grace."""
        return self.state == "RUNNING"


def hostnames(nodelist: str) -> tuple[str, ...]:
    """`w[1-2]` as names. Raises BadEnvironment."""
    return tuple(_asked("show", "hostnames", nodelist).split())


def node_addresses(names: Sequence[str]) -> dict[str, str]:
    """What Slurm calls the address of each node: a name that resolves, or an IP address. Raises BadEnvironment."""
    text = _asked("-o", "show", "node", ",".join(names))
    found = {
        name.group(1): address.group(1)
        for line in text.splitlines()
        if (name := re.search(r"\bNodeName=(\S+)", line)) and (address := re.search(r"\bNodeAddr=(\S+)", line))
    }
    return {name: found.get(name, name) for name in names}


def job_now(job: str) -> JobNow:
    """The state of a job (of an element: 12_3); unknown, when Slurm does not answer or has forgotten it."""
    try:
        return parse_job(_asked("-o", "show", "job", job))
    except BadEnvironment:
        return JobNow("UNKNOWN")


def parse_job(text: str) -> JobNow:
    """`scontrol -o show job` of one job."""
    facts = dict(re.findall(r"\b(JobState|EndTime)=(\S+)", text))
    try:
        ends = time.mktime(time.strptime(facts.get("EndTime", ""), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        ends = None
    return JobNow(facts.get("JobState", "UNKNOWN"), ends)


def requeue(job: str) -> None:
    """Put a running job back into the queue; Slurm then ends what runs. Raises BadEnvironment with Slurm's refusal."""
    _asked("requeue", job)


def _asked(*words: str) -> str:
    argv = ["scontrol", *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadEnvironment(" ".join(argv), f"did not work: {error}", "is Slurm in the PATH of the nodes?") from None
    if done.returncode:
        what = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise BadEnvironment(" ".join(argv), what[-1])
    return done.stdout
