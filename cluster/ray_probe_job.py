"""The probe of a Ray cluster (ray_probe.py) run as a Ray job: for a cluster whose dashboard is all we can reach."""

from __future__ import annotations

import secrets
import shlex
import tempfile
import time
from pathlib import Path

from ray.job_submission import JobStatus

from cluster.errors import BadEnvironment
from cluster.ray_probe import SeenCluster, answer_in
from cluster.submit.ray_api import jobs_api
from cluster.submit.ray_package import code
from cluster.submit.ray_told import last_line

PATIENCE_S = 180.0  # of which its tasks may take 45 s; the rest is for environments being made
TURN_S = 0.3
OVER = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


def submit(url: str, store: str, mark: str, python: str) -> SeenCluster:
    """Run the probe on the cluster whose dashboard is at `url` and wait for it; the job is forgotten afterwards.

    Raises BadEnvironment where the cluster does not answer, takes no job, or the probe got nowhere.
    """
    name = f"w2s-doctor-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory(prefix="w2s-package-") as folder:
        code(Path(folder))
        with jobs_api(url) as client:
            client.submit_job(
                entrypoint=shlex.join([python, "-m", "cluster.ray_probe", store, mark]),
                submission_id=name,
                runtime_env={"working_dir": folder},
            )
            deadline = time.monotonic() + PATIENCE_S
            while (job := client.get_job_info(name)).status not in OVER:
                if time.monotonic() > deadline:
                    client.stop_job(name)
                    what = f"a small job is {job.status.value} after {PATIENCE_S:g} s"
                    raise BadEnvironment(f"Ray Jobs at {url}", what, f"see job {name} in its dashboard")
                time.sleep(TURN_S)
            said = client.get_job_logs(name)
            client.delete_job(name)
    found = answer_in(said)
    if found is None:
        what = f"a small job {job.status.value.lower()}: {last_line(said) or last_line(job.message or '')}"
        remedy = "is the site file's `python` there on its nodes, with the same packages as here?"
        raise BadEnvironment(f"Ray Jobs at {url}", what, remedy)
    return found
