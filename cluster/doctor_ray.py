"""`doctor` for a Ray cluster that is already there: what it has, what will not work on it, and what to do about it.

As in doctor.py each check is a function of facts (ray_probe.py looks them up). The probe writes a mark into the store, to
see whether the nodes see it too, and removes it. `fail` is what would stop every run on the cluster.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster import surroundings
from cluster.doctor import GIB, Finding, ray_auth
from cluster.errors import Problem
from cluster.ray_probe import SeenCluster, SeenNode, join
from cluster.store_mark import absolute, marked

LITTLE_OBJECTS = 75 * 2**20  # Ray's own least
NOT_HERE = "the nodes cannot import our code"


def examine_ray(
    address: str, store: str, python: str | None = None, say: Callable[[str], None] = lambda text: None
) -> Iterator[Finding]:
    """All checks of the cluster at HOST:PORT, which is joined, or at http://HOST:PORT, where a small job looks around.

    `python` is the interpreter of that job (None: the path of ours); `say` hears before what takes seconds.
    """
    by_job = address.startswith(("http://", "https://"))
    say(f"looking around on the Ray cluster at {address}")
    try:
        with marked(store) as mark:
            if by_job:
                from cluster.ray_probe_job import submit

                found = submit(address, absolute(store), mark, python or sys.executable)
            else:
                found = join(address, absolute(store), mark)
    except (Problem, OSError) as problem:
        yield unanswered(address, problem)
        if not by_job:
            yield ray_auth(os.environ, surroundings.auth_token(Path.home()))
        return
    yield Finding("address", "ok", f"{address} {'takes jobs' if by_job else 'can be joined'}")
    yield token(found.token)
    yield same("Ray", found.ray, surroundings.installed("ray") or "", by_job=by_job)
    yield same("Python", found.python, platform.python_version(), by_job=by_job)
    yield nodes(found)
    for one in found.nodes:
        yield node(one, found.python)
    yield store_everywhere(store, found)
    yield object_store(found)
    yield dashboard(found.dashboard if not by_job else address, _jobs_fault(found.dashboard) if not by_job else "")


def _jobs_fault(dashboard: str) -> str:
    """Why the Jobs API cannot be used from here; "" when it can."""
    from cluster.submit.ray_api import jobs_api

    if not dashboard:
        return ""
    try:
        with jobs_api(f"http://{dashboard}"):
            return ""
    except Problem as problem:
        return problem.what


def unanswered(address: str, problem: Problem | OSError) -> Finding:
    if isinstance(problem, Problem):
        where = "" if address in problem.where else f"{problem.where} "
        return Finding("address", "fail", f"{address}: {where}{problem.what}", problem.remedy)
    return Finding("store", "fail", f"cannot be written to from here: {problem}", "choose another folder")


def token(asked: bool) -> Finding:
    if asked:
        return Finding("token", "ok", "the cluster asks for a token, and takes ours")
    remedy = "whoever reaches its ports runs what he likes: start it with RAY_AUTH_MODE=token and a token file"
    return Finding("token", "warn", "the cluster asks for none", remedy)


def same(name: str, theirs: str, ours: str, *, by_job: bool) -> Finding:
    """Ray and Python must be alike on both sides of a driver; the driver of a job is on the cluster itself."""
    if theirs == ours:
        return Finding(name, "ok", f"{theirs} there and here")
    found = f"{theirs} there, {ours} here"
    if by_job or (name == "Python" and theirs.rpartition(".")[0] == ours.rpartition(".")[0]):
        return Finding(name, "warn", found, "results may differ in the last digits: use one environment for both")
    return Finding(name, "fail", found, f"a driver here cannot speak to it: install the same {name}")


def nodes(found: SeenCluster) -> Finding:
    cpus, gpus = sum(node.cpus for node in found.nodes), sum(node.gpus for node in found.nodes)
    what = f"{len(found.nodes)} alive, {cpus:g} CPUs, {gpus:g} GPUs"
    if cpus < 1:
        return Finding("nodes", "fail", what, "every stage needs a CPU: start a node with --num-cpus")
    return Finding("nodes", "ok", what)


def node(seen: SeenNode, python: str) -> Finding:
    name, has = f"node {seen.name}", f"{seen.cpus:g} CPUs, {seen.gpus:g} GPUs"
    if seen.error:
        remedy = "install w2s there, or start the nodes where its folder is; a Ray job (http://) brings its code along"
        missing = "No module named" in seen.error
        return Finding(
            name, "fail", f"{has}; {NOT_HERE if missing else 'a task failed'}: {seen.error}", remedy if missing else ""
        )
    if not seen.seen:
        return Finding(name, "warn", f"{has}; a task did not end in time", "is it overloaded? `ray status` tells")
    if seen.python != python:
        return Finding(
            name, "fail", f"Python {seen.python} there, {python} on the others", "use one environment for all"
        )
    if seen.gpus and (seen.torch_gpus or 0) < seen.gpus:
        found = f"{has}; torch there sees {seen.torch_gpus or 0} GPUs, its driver {seen.driver_gpus or 0}"
        return Finding(name, "fail", found, "a CUDA build of torch, or a newer driver: run `w2s doctor` on that node")
    if not seen.gpus and seen.driver_gpus:
        found = f"{has}, though its driver lists {seen.driver_gpus}"
        return Finding(name, "warn", found, f"start it with --num-gpus={seen.driver_gpus} to use them")
    return Finding(name, "ok", has)


def store_everywhere(store: str, found: SeenCluster) -> Finding:
    blind = [f"{one.name}: {one.store}" for one in found.nodes if one.seen and one.store]
    if blind:
        remedy = "give a folder on a filesystem that all nodes share, or a URL such as s3://bucket/folder"
        return Finding("store", "fail", f"{store} {'; '.join(blind)}", remedy)
    asked = sum(one.seen for one in found.nodes)
    return Finding(
        "store", "ok" if asked else "warn", f"{store} is seen and writable on {asked} of {len(found.nodes)} nodes"
    )


def object_store(found: SeenCluster) -> Finding:
    least = min((node.object_store for node in found.nodes), default=0.0)
    what = f"{least / GIB:.2f} GiB on the node with least"
    if least < LITTLE_OBJECTS:
        return Finding("object store", "warn", what, "start nodes with --object-store-memory of 128 MiB or more")
    return Finding("object store", "ok", what)


def dashboard(address: str, fault: str) -> Finding:
    """Ray Tune's clean-up asks it too, and `w2s submit --to ray`."""
    if not address:
        remedy = "start the head with --include-dashboard=true, in an environment with ray[default]"
        return Finding("dashboard", "warn", "none: no Ray jobs, and a search may leave places reserved", remedy)
    if fault:
        remedy = "w2s submit --to ray needs it: ssh -L 8265:localhost:8265 HEAD"
        return Finding("dashboard", "warn", f"{address}: {fault}", remedy)
    return Finding("dashboard", "ok", f"{address} takes jobs: w2s submit --to ray --address")
