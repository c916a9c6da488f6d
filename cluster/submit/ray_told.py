"""What Ray tells of an element's jobs, in our words."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ray.job_submission import JobDetails, JobStatus

from cluster.errors import EXIT_AGAIN
from cluster.submit.live import Live, State

STATES: dict[JobStatus, State] = {
    JobStatus.PENDING: "pending",
    JobStatus.RUNNING: "running",
    JobStatus.STOPPED: "cancelled",
    JobStatus.SUCCEEDED: "done",
    JobStatus.FAILED: "failed",
}
WORST_FIRST: tuple[State, ...] = ("unknown", "failed", "cancelled", "done")
CANNOT_RUN = (126, 127)  # a shell's exit codes for a program that is none, or is not there
LINE = 500
RAYS_OWN = "Running entrypoint for job "


def element(index: int, where: str, jobs: Sequence[JobDetails | None]) -> Live:
    """One element of one job or several; None stands for a job that the cluster at `where` does not know.

    It is over when all of its jobs are, and then as bad as the worst of them.
    """
    told = [_one(index, where, job) for job in jobs]
    going = [one for one in told if one.state in ("running", "pending")]
    if going and len(told) > 1:
        shown = next((one for one in going if one.state == "running"), going[0])
    else:
        shown = min(going or told, key=lambda one: WORST_FIRST.index(one.state) if one.state in WORST_FIRST else 0)
    began = [one.started for one in told if one.started is not None]
    ended = [one.ended for one in told if one.ended is not None]
    return Live(
        index,
        shown.state,
        shown.told,
        shown.why,
        tuple(dict.fromkeys(node for one in told for node in one.nodes)),
        min(began, default=None),
        max(ended) if len(ended) == len(told) else None,
        exit_code=shown.exit_code,
    )


def _one(index: int, where: str, job: JobDetails | None) -> Live:
    if job is None:
        return Live(index, "unknown", why=f"the cluster at {where} does not know it: it was started anew since")
    state = STATES[job.status]
    node = urlsplit(job.driver_agent_http_address or "").hostname
    return Live(
        index,
        state,
        job.status.value,
        _why(state, job),
        (node,) if node else (),
        started=None if state == "pending" else _seconds(job.start_time),
        ended=_seconds(job.end_time),
        exit_code=job.driver_exit_code,
    )


def _why(state: State, job: JobDetails) -> str:
    if state == "pending":
        return "its driver waits for a free CPU, or for its environment"
    if state == "cancelled":
        return "cancelled; the same recipe goes on from what was saved"
    if state != "failed":
        return ""
    code = job.driver_exit_code
    if code == EXIT_AGAIN:
        return "stopped where it was and saved; submit the recipe again to go on"
    last = last_line(job.message or "")
    if code in CANNOT_RUN:
        return f"{last}; is the site file's `python` there on the cluster's nodes?"
    return last if code is None else f"exit code {code}: {last}"


def last_line(text: str) -> str:
    """What a driver said last. Ray's own first line may come behind what a driver that ended at once has said."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(RAYS_OWN)]
    return lines[-1][:LINE] if lines else ""


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None
