"""Small real work for tests of the machine room: each run leaves a line in a ledger file, so builds can be counted."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.errors import BadInput, Interrupted, StageFailed
from cluster.job import Context, Job, Resources
from cluster.key import content_key


def job(
    name: str, *needs: Job, work: str = "write", retries: int = 0, cpus: float = 1, pack: str = "", **machines: Any
) -> Job:
    """A job whose key covers its name and needs."""
    science = {"name": name, "needs": [need.key for need in needs]}
    return Job(
        key=content_key(science), kind="Test", name=name, needs=tuple(need.key for need in needs),
        target=f"tests.cluster.targets:{work}", science=science, machines=machines, resources=Resources(cpus=cpus), retries=retries,
        pack=pack,
    )  # fmt: skip


def gang(
    name: str, ranks: int, *needs: Job, work: str = "all_reduce", retries: int = 0, cpus: float = 1,
    nodes: int | None = None, hang_s: float = 60.0, **machines: Any,
) -> Job:  # fmt: skip
    """A job on `ranks` processes."""
    alone = job(name, *needs, work=work, retries=retries, **machines)
    return dataclasses.replace(alone, resources=Resources(cpus=cpus, ranks=ranks, nodes=nodes, hang_s=hang_s))


def graph(*jobs: Job) -> dict[str, Job]:
    return {job.key: job for job in jobs}


def built(ledger: Path) -> list[str]:
    return ledger.read_text().split() if ledger.exists() else []


def _enter(context: Context) -> None:
    if "ledger" in context.machines:
        with open(context.machines["ledger"], "a") as file:  # appends below a page are atomic
            file.write(context.science["name"] + "\n")


def add(context: Context) -> dict[str, Any]:
    """Alone."""
    return dict(add_pack([context])[0])


def add_pack(contexts: Sequence[Context]) -> list[dict[str, Any]]:
    """Each job's name into its own result; one line in the ledger for all."""
    names = [str(context.science["name"]) for context in contexts]
    for context, name in zip(contexts, names, strict=True):
        if context.machines.get("bad"):
            raise StageFailed(context.name, f"{name} cannot")
        (context.out / "text").write_text(name)
    if "ledger" in contexts[0].machines:
        with open(contexts[0].machines["ledger"], "a") as file:
            file.write("+".join(sorted(names)) + "\n")
    return [{"together": len(contexts)} for _ in contexts]


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


def all_reduce(context: Context) -> dict[str, Any]:
    """Adds up ranks with the others, `steps` times, saving each step in `work`; stops where all agree to.

    machines: steps, seconds (a step), fail_at / odd_at / sleep_at: {rank: step} of mishaps, `once`: only before the first
    save. The result does not depend on how often the work was broken off.
    """
    import torch
    import torch.distributed as dist

    alone = not dist.is_initialized()
    print(f"rank {context.rank} of {context.ranks} works")
    saved = context.work / "progress.json"
    step, total = json.loads(saved.read_text()) if saved.exists() else (0, 0)
    fresh = step == 0
    steps = context.machines.get("steps", 10)
    while step < steps:
        _mishaps(context, step, fresh)
        mine = torch.tensor([step * (context.rank + 1), int(context.stop())])
        if not alone:
            dist.all_reduce(mine)
        if mine[1] > 0:
            raise Interrupted(context.name, f"stopped at {step}")
        step, total = step + 1, total + int(mine[0])
        if context.rank == 0:
            context.still_mine()
            draft = saved.with_suffix(".draft")
            draft.write_text(json.dumps([step, total]))
            draft.rename(saved)
            context.watch.scalar("train/loss", 1.0 / step, step)
        context.watch.progress(step, steps)
        time.sleep(context.machines.get("seconds", 0))
    (context.out / f"rank{context.rank}").write_text(str(total))
    return {"total": total, "steps": step, "device": context.device, "threads": context.threads}


def _mishaps(context: Context, step: int, fresh: bool) -> None:
    if not fresh and context.machines.get("once"):
        return
    at = {
        name: context.machines.get(name, {}).get(str(context.rank))
        for name in ("fail_at", "odd_at", "sleep_at", "die_at")
    }
    if at["fail_at"] == step:
        raise StageFailed(context.name, "the disk of this rank is on fire", "put it out")
    if at["odd_at"] == step:
        raise BadInput("the data", "are odd", "mend them")
    if at["sleep_at"] == step:
        time.sleep(10**6)
    if at["die_at"] == step:
        os.kill(os.getpid(), signal.SIGKILL)
