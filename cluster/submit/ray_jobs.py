"""Orders as Ray jobs on a cluster that is already there: handed over, looked at, stopped, read.

Each command of an order is a Ray job of its own, and all share the cluster, whose size is not ours to choose. A job's name
is the order's, so that submitting an order which is alive attaches to it. A store that is a local path is taken as a folder
that every node of the cluster sees under the same name; the order's own folder need not be seen there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from ray.job_submission import JobDetails, JobStatus

from cluster.errors import BadEnvironment, BadInput
from cluster.submit import ray_package
from cluster.submit.live import Live
from cluster.submit.order import Order, Placed
from cluster.submit.ray_api import Client, jobs_api, jobs_url
from cluster.submit.ray_told import element
from cluster.submit.site import Site

DRIVER_CPUS = 1.0
SECRET = {"TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIALS"}
ALIVE = (JobStatus.PENDING, JobStatus.RUNNING)

Jobs = Mapping[str, JobDetails]
Place = tuple[int, int]  # element and command


def submit(order: Order, site: Site, address: str, *, driver_cpus: float = DRIVER_CPUS) -> Placed:
    """Start the order on the cluster whose dashboard is at `address` (http://HEAD:8265), or attach to it where it is alive.

    `driver_cpus` are reserved for each driver, beside what its stages reserve; a driver that gets no place within 15 minutes
    is given up by Ray (RAY_JOB_START_TIMEOUT_SECONDS on the head). The site gives Python, variables and the grace; nothing
    else of it is about Ray. Raises BadInput for what Ray Jobs cannot do, BadEnvironment for a cluster that does not answer.
    """
    _check(order, site)
    url = jobs_url(address)
    with tempfile.TemporaryDirectory(prefix="w2s-package-") as folder:
        ray_package.assemble(order, Path(folder))
        with jobs_api(url) as client:
            there = _jobs(client)
            handle = _alive(order, there) or _free_handle(order, there)
            names = _names(order, handle)
            missing = {name: place for place, name in names.items() if name not in there}
            with _all_or_none(client, list(missing)):
                for name, place in missing.items():
                    _submit_one(client, order, site, place, name, folder, driver_cpus)
            return _placed(order, url, handle, client.get_job_info(names[0, 0]))


def find(order: Order, address: str) -> Placed | None:
    """Where the order is alive on this cluster already: what `submit` would attach to."""
    with jobs_api(address) as client:
        there = _jobs(client)
    handle = _alive(order, there)
    if handle is None:
        return None
    known = next(there[name] for name in _names(order, handle).values() if name in there)
    return _placed(order, jobs_url(address), handle, known)


def look(order: Order, placed: Placed) -> list[Live]:
    """Every element; `unknown`, with the reason, where the cluster does not answer or has forgotten."""
    try:
        with jobs_api(placed.where) as client:
            there = _jobs(client)
    except BadEnvironment as problem:
        return [Live(index, "unknown", why=str(problem)) for index in range(len(order.elements))]
    names = _names(order, placed.handle)
    return [
        element(index, placed.where, [there.get(names[index, which]) for which in range(len(commands))])
        for index, commands in enumerate(order.elements)
    ]


def cancel(order: Order, placed: Placed) -> None:
    """Ask every driver that is alive to save and leave; Ray kills it once the site's grace is over. Returns at once.

    A job that still waits for its place is stopped as soon as it has got it. Raises BadEnvironment.
    """
    with jobs_api(placed.where) as client:
        there = _jobs(client)
        for name in _names(order, placed.handle).values():
            if name in there and there[name].status in ALIVE:
                client.stop_job(name)


def logs(order: Order, placed: Placed, follow: bool, *, element: int | None = None) -> Iterator[str]:
    """What the drivers print, in pieces as they come: of all elements one after the other, or of one.

    With `follow`, until the jobs are over. Raises BadInput for a job the cluster does not know, BadEnvironment.
    """
    names = {place: name for place, name in _names(order, placed.handle).items() if element in (None, place[0])}
    with jobs_api(placed.where) as client:
        there = _jobs(client)
        for (index, which), name in names.items():
            if name not in there:
                raise BadInput(f"job {order.id}", f"{placed.where} does not know it", "was its cluster started anew?")
            if len(names) > 1:
                yield f"--- {order.elements[index][which].name} ---\n"
            yield from _tail(client, name) if follow else (client.get_job_logs(name),)


# ---- handing over


def _check(order: Order, site: Site) -> None:
    if order.dependency:
        raise BadInput("--dependency", "is Slurm's: a Ray job starts when it is submitted", "leave it out")
    if order.throttle:
        remedy = "leave it out: stages wait for free CPUs and GPUs by themselves"
        raise BadInput("--throttle", "is Slurm's: Ray starts all jobs at once", remedy)
    if "://" not in order.store and not Path(order.store).is_absolute():
        raise BadInput("--store", f"'{order.store}' is relative", "the cluster's nodes need its whole path")
    for field, names in (("forward", site.forward), ("environment", (*site.environment, *order.environment))):
        secret = [name for name in names if _is_secret(name)]
        if secret:
            what = f"{', '.join(secret)}: whoever sees the cluster's dashboard can read a Ray job's variables"
            raise BadInput(f"site: {field}", what, "leave it out, and set it where the cluster's nodes are started")


def _is_secret(name: str) -> bool:
    words = name.upper().split("_")
    return not SECRET.isdisjoint(words) or words[-1].endswith(tuple(SECRET))


@contextlib.contextmanager
def _all_or_none(client: Client, names: Sequence[str]) -> Iterator[None]:
    """When one of the jobs is refused, those begun with it are stopped: the order is reported as not placed."""
    try:
        yield
    except Exception:
        with contextlib.suppress(Exception):  # the first trouble is the one to tell
            for name in _jobs(client).keys() & set(names):
                client.stop_job(name)
        raise


def _submit_one(
    client: Client, order: Order, site: Site, place: Place, name: str, package: str, driver_cpus: float
) -> None:
    command = order.elements[place[0]][place[1]]
    words = [site.python or sys.executable, *(ray_package.as_packed(word, order) for word in command.at("auto"))]
    try:
        client.submit_job(
            entrypoint=shlex.join(words),
            submission_id=name,
            runtime_env={"working_dir": package, "env_vars": _environment(order, site, place)},
            metadata={
                "order": order.id,
                "store": order.store,
                "recipe": order.recipe,
                "job_name": command.name,  # what the dashboard calls it
                "user": psutil.Process().username(),
                "host": socket.gethostname(),
            },
            entrypoint_num_cpus=driver_cpus,
        )
    except RuntimeError:
        job = _jobs(client).get(name)
        if job is None or not _is_ours(job, order):  # else somebody submits the same at this moment
            raise


def _environment(order: Order, site: Site, place: Place) -> dict[str, str]:
    element, command = place
    forwarded = {name: os.environ[name] for name in site.forward if name in os.environ}
    ours = {
        "W2S_ORDER": order.id,
        "W2S_ELEMENT": str(element),
        "W2S_COMMAND": str(command),
        "RAY_JOB_STOP_WAIT_TIME_S": str(site.grace_s),  # from SIGTERM to SIGKILL; Ray's own 3 s cut a checkpoint short
    }
    if Path(order.folder).is_relative_to(order.store):  # with the store, the nodes see the order's folder
        ours["W2S_JOURNAL"] = str(Path(order.folder) / str(element) / f"run-{command}.json")
    return {**site.environment, **forwarded, **order.environment, **ours}


# ---- names


def _names(order: Order, handle: str) -> dict[Place, str]:
    """The Ray job of every command: HANDLE, in an array HANDLE-element, in a pack with .command behind."""
    return {
        (index, which): handle + (f"-{index}" if order.is_array else "") + (f".{which}" if len(commands) > 1 else "")
        for index, commands in enumerate(order.elements)
        for which in range(len(commands))
    }


def _alive(order: Order, there: Jobs) -> str | None:
    """The order's handle on the cluster while any of its jobs is alive."""
    for handle in _handles(order, there):
        own = [there[name] for name in _names(order, handle).values() if name in there]
        if any(_is_ours(job, order) and job.status in ALIVE for job in own):
            return handle
    return None


def _handles(order: Order, there: Jobs) -> Iterator[str]:
    """Its handles that are in use. A cluster takes a name once, and an order of another store may have the same."""
    for number in count(1):
        handle = order.id if number == 1 else f"{order.id}~{number}"
        if not any(name in there for name in _names(order, handle).values()):
            return
        yield handle


def _free_handle(order: Order, there: Jobs) -> str:
    used = len(list(_handles(order, there)))
    return f"{order.id}~{used + 1}" if used else order.id


def _is_ours(job: JobDetails, order: Order) -> bool:
    metadata = job.metadata or {}
    return (metadata.get("order"), metadata.get("store")) == (order.id, order.store)


# ---- asking


def _jobs(client: Client) -> dict[str, JobDetails]:
    """Every job ever submitted to the cluster, by its name."""
    return {job.submission_id: job for job in client.list_jobs() if job.submission_id}


def _placed(order: Order, where: str, handle: str, job: JobDetails) -> Placed:
    metadata = job.metadata or {}
    begun = (job.start_time or 0) / 1000
    return Placed(order.id, handle, where, metadata.get("user", ""), metadata.get("host", ""), begun)


def _tail(client: Client, name: str) -> Iterator[str]:
    """Ray tells of new output through a coroutine; our callers are plain functions."""
    pieces: Any = client.tail_job_logs(name)
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        try:
            while True:
                yield loop.run_until_complete(anext(pieces))
        except StopAsyncIteration:
            return
        finally:
            loop.run_until_complete(pieces.aclose())
