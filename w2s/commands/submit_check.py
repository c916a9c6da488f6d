"""`w2s submit --check`: what would go wrong, before it waits in a queue for it. Submits nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from cluster import surroundings
from cluster.doctor import NETWORK, Finding, is_well
from cluster.errors import EXIT_ENVIRONMENT, EXIT_OK, Problem
from cluster.memory import Device, text
from cluster.monitor import clock
from cluster.store import Store
from cluster.submit.order import Order, Size
from cluster.submit.site import Site
from w2s import bridge
from w2s.commands import show
from w2s.commands.doctor import tell
from w2s.cost import Rates
from w2s.load import Written
from w2s.machines import Machine
from w2s.recipe import Recipe
from w2s.sizes import sizes_of
from w2s.stages import Rows
from w2s.submission import Plan
from w2s.uses import Use, fit_in, sizes_in, use_of

STATE_BYTES = 12  # of a learning parameter in a checkpoint: itself and Adam's two moments, fp32
WRITE_BYTES_S = 100e6  # a busy shared filesystem, one writer
STEP_S = 10.0  # what runs saves after the step it is in; those of large models take seconds
MIB = 2**20


def check(written: Written, plan: Plan, order: Order, site: Site, *, as_json: bool) -> int:
    """Print a finding a line. Returns the exit code: 3 where a job would not run."""
    findings: list[Finding] = []
    with show.console(err=True).status("asking and estimating"):
        for finding in _findings(written.recipe, plan, order, site):
            findings.append(finding)
            if not as_json:
                tell(finding, show.console())
    well = is_well(findings)
    if as_json:
        show.as_json({"ok": well, "id": order.id, "checks": [dataclasses.asdict(finding) for finding in findings]})
    return EXIT_OK if well else EXIT_ENVIRONMENT


def _findings(recipe: Recipe, plan: Plan, order: Order, site: Site) -> Iterator[Finding]:
    if order.backend == "slurm":
        yield taken(order, site)
    store = Store.open(order.store, create=False)
    recipes = [element.recipe for element in plan.elements]
    learning = 0
    for use, machine in _uses(recipe).items():
        counted = sizes_of([use.learner]).get(use.learner)
        if counted is None:
            yield Finding(f"memory: {use.name}", "warn", "its size is not known here", "w2s fetch brings its config")
            continue
        learning = max(learning, counted.learning)
        yield memory(use, fit_in(use, machine, sizes_in(use, counted), device(machine, order.size, site)).note)
    if order.backend == "slurm":
        yield time(_seconds(recipes, store), order)
        yield grace(learning * STATE_BYTES, site.grace_s)
    yield visible(order)


def taken(order: Order, site: Site) -> Finding:
    """What Slurm says of the script."""
    from cluster.submit import slurm

    try:
        return Finding("Slurm", "ok", slurm.test_only(slurm.script(order, site)))
    except Problem as problem:
        return Finding("Slurm", "fail", problem.what, problem.remedy)


def memory(use: Use, note: str) -> Finding:
    """`note`: what does not fit, "" where all does."""
    name = f"memory: {use.name}"
    if note:
        return Finding(name, "fail", note, "larger nodes, more devices, or a smaller micro-batch")
    return Finding(name, "ok", "fits, with every row as long as max_tokens allows")


def device(machine: Machine, size: Size, site: Site) -> Device:
    """What a rank has on such a node: a GPU's memory, or its share of the node's."""
    on_a_node = -(-machine.devices // (machine.nodes or size.nodes))
    if size.gpus and machine.gpus:
        return Device(int((site.gpu_memory_mib or 80_000) * MIB * machine.gpus), gpu=True)
    whole = size.memory_mib * MIB if size.memory_mib else surroundings.memory().total
    return Device(whole // max(1, on_a_node), gpu=False)


def time(seconds: float | None, order: Order) -> Finding:
    """`seconds`: all stages one after another; they may run side by side, so it is more than the job takes."""
    limit = order.size.time_s
    if seconds is None:
        return Finding(
            "time", "ok", f"nobody knows how long; after {clock(limit)} it goes back to the queue and goes on"
        )
    share = seconds / max(1, len(order.elements))
    if share <= limit:
        return Finding(
            "time", "ok", f"about {clock(share)} of {clock(limit)}, from stages seen before or models' sizes"
        )
    times = math.ceil(share / limit)
    remedy = "a longer --time, or leave it: it goes on where it was"
    return Finding("time", "warn", f"about {clock(share)}: it goes through the queue {times} times", remedy)


def grace(checkpoint_bytes: int, notice_s: int) -> Finding:
    """Whether what runs can save between the notice and the end."""
    needs = STEP_S + checkpoint_bytes / WRITE_BYTES_S
    what = f"a checkpoint of {text(checkpoint_bytes)} takes about {clock(needs)} of {clock(notice_s)}"
    if needs > notice_s:
        remedy = f"set grace: {math.ceil(2 * needs)}s in the site file; else the last periodic checkpoint counts"
        return Finding("grace", "warn", what, remedy)
    return Finding("grace", "ok", what)


def visible(order: Order) -> Finding:
    """Whether every node sees the store: of a folder, as far as its filesystem tells."""
    if "://" in order.store:
        return Finding("store", "ok", f"{order.store} is remote; orders' folders are in {Path(order.folder).parent}")
    room = surroundings.room(Path(order.store))
    if not room.writable:
        return Finding("store", "fail", f"{room.path} cannot be written to", "choose another --store")
    if room.filesystem in NETWORK:
        return Finding("store", "ok", f"{order.store} is on {room.filesystem}")
    what = f"{order.store} is on a disk of this machine ({room.filesystem or 'unknown filesystem'})"
    return Finding("store", "warn", what, "nodes must see it: `w2s doctor --slurm --probe` looks from there")


def _uses(recipe: Recipe) -> dict[Use, Machine]:
    found: dict[Use, Machine] = {}
    for stage in recipe.graph().values():
        use = use_of(stage)
        if use is not None and use.learner.model.form != "features":
            prompted = use.how == "prompted"
            found[use] = recipe.machine_of(use.learner.model) if prompted else recipe.machine(use.learner)
    return found


def _seconds(recipes: list[Recipe], store: Store) -> float | None:
    """Of every stage that is not in the store, each once; None where one that runs a model is of unknown length."""
    stages = {key: stage for recipe in recipes for key, stage in recipe.graph().items() if not store.has(key)}
    rates = Rates(store, stages.values())
    total = 0.0
    for stage in stages.values():
        seconds = rates.seconds(stage)
        if seconds is None and not isinstance(stage, Rows):
            return None
        total += (seconds or 0.0) / max(1, bridge.job(recipes[0], stage).resources.ranks)
    return total
