"""Small real work for tests of the machine room: each run leaves a line in a ledger file, so builds can be counted."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from cluster.errors import BadInput, Interrupted
from cluster.job import Context, Job, Resources
from cluster.key import content_key


def job(name: str, *needs: Job, work: str = "write", retries: int = 0, cpus: float = 1, **machines: Any) -> Job:
    """A job whose key covers its name and needs."""
    science = {"name": name, "needs": [need.key for need in needs]}
    return Job(
        key=content_key(science), kind="Test", name=name, needs=tuple(need.key for need in needs),
        target=f"tests.cluster.targets:{work}", science=science, machines=machines, resources=Resources(cpus=cpus), retries=retries,
    )  # fmt: skip


def graph(*jobs: Job) -> dict[str, Job]:
    return {job.key: job for job in jobs}


def built(ledger: Path) -> list[str]:
    return ledger.read_text().split() if ledger.exists() else []


def _enter(context: Context) -> None:
    if "ledger" in context.machines:
        with open(context.machines["ledger"], "a") as file:  # appends below a page are atomic
            file.write(context.science["name"] + "\n")


def write(context: Context) -> dict[str, Any]:
    """The job's name after the texts of its inputs."""
    _enter(context)
    time.sleep(context.machines.get("seconds", 0))
    texts = [(context.inputs[key] / "text").read_text() for key in context.science["needs"]]
    (context.out / "text").write_text("".join(texts) + context.science["name"])
    context.watch.progress(1, 1)
    context.watch.note("written")
    return {"length": len(texts)}


def fail(context: Context) -> dict[str, Any]:
    _enter(context)
    print("last words")
    raise RuntimeError("on purpose")


def refuse(context: Context) -> dict[str, Any]:
    _enter(context)
    raise BadInput("the data", "are odd", "mend them")


def die_once(context: Context) -> dict[str, Any]:
    """Kills its own process the first time; the second time finds the mark it left in `work` and succeeds."""
    mark = context.work / "mark"
    if not mark.exists():
        _enter(context)
        mark.write_text("was here")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(context)


def until_stopped(context: Context) -> dict[str, Any]:
    """Works in small steps, saving each, until told to stop; the next attempt goes on from there."""
    _enter(context)
    saved = context.work / "step"
    step = int(saved.read_text()) if saved.exists() else 0
    while step < context.machines.get("steps", 10**6):
        if context.stop():
            raise Interrupted(context.name, f"stopped at {step}")
        step += 1
        draft = saved.with_suffix(".draft")
        draft.write_text(str(step))
        draft.rename(saved)  # a kill may come between any two instructions
        context.watch.progress(step, 10**6)
        time.sleep(0.01)
    (context.out / "text").write_text(str(step))
    return {"steps": step}


def curve(context: Context) -> dict[str, Any]:
    for step in range(5):
        context.watch.scalar("train/loss", 1.0 / (step + 1), step)
    (context.out / "text").write_text("curve")
    return {"threads": context.threads, "pid": os.getpid()}


def pause(context: Context) -> dict[str, Any]:
    answer = 6 * 7
    breakpoint()
    (context.out / "text").write_text(str(answer))
    return {}
