"""`w2s submit`: hand a recipe to Slurm or to a Ray cluster, once; say where it went and how to watch it."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import EXIT_OK, BadInput
from cluster.monitor import clock
from cluster.store import Store
from cluster.submit import handover
from cluster.submit.order import Order, Placed, Size
from cluster.submit.site import Site
from w2s import submission
from w2s.assets import default_cache
from w2s.commands import show
from w2s.commands.at_work import Choices, fetch
from w2s.load import Written, read
from w2s.search.check import check_search
from w2s.search.searched import Searched
from w2s.search.trials import corner_trials, trial_recipe
from w2s.site import load_site
from w2s.submission import Asked, Plan

STORE = "store"
HUGGING_FACE = ("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE")  # where what was fetched here lies


@dataclass(frozen=True)
class How:
    """How it is handed over: the site file, the Ray cluster's address; and what not to do."""

    site: str | None = None
    address: str | None = None
    dry_run: bool = False
    check: bool = False
    again: bool = False  # although the same work is at it already
    fetch: bool = True  # here, before: nodes often have no way out
    json: bool = False


def submit(reference: str, overrides: list[str], store_url: str | None, asked: Asked, how: How) -> int:
    """Submit. Returns the exit code."""
    if asked.backend == "ray" and how.address is None and not how.dry_run:
        raise BadInput(
            "--address", "is missing: which Ray cluster?", "give its dashboard, like --address http://head:8265"
        )
    if asked.backend == "slurm" and how.address is not None:
        raise BadInput("--address", "is a Ray cluster's", "leave it out, or use --to ray")
    site = load_site(how.site)
    written = read(reference, overrides)
    plan = submission.plan(written, site, asked, _environment(asked, site, how))
    if asked.tune:
        check_search(Searched(written))
    store = Store.open(store_url or site.store or STORE, create=not (how.dry_run or how.check))
    number = max(handover.numbers(store, plan.base), default=0) + 1
    order = plan.order(number, handover.jobs_folder(store, site), store.url, reference)
    if how.dry_run:
        return _show(order, site)
    if how.check:
        from w2s.commands.submit_check import check

        return check(written, plan, order, site, as_json=how.json)
    there = None if how.again else _at_it(store, plan.base)
    if there is not None:
        _tell(*there, store, how, attached=True)
        return EXIT_OK
    if how.fetch:
        _fetch(written, plan, how)
    _tell(order, _hand_over(order, plan, site, store, how), store, how, attached=False)
    return EXIT_OK


def _environment(asked: Asked, site: Site, how: How) -> dict[str, str]:
    """What was fetched here is found there: on Slurm's nodes homes are shared, on a Ray cluster of any kind they may not be."""
    if asked.backend != "slurm":
        return {}  # `ray_jobs` forwards what the site names
    found = {"W2S_CACHE": str(default_cache().absolute())}
    found |= {name: os.environ[name] for name in (*HUGGING_FACE, *site.forward) if os.environ.get(name)}
    return found | ({"HF_HUB_OFFLINE": "1"} if how.fetch else {})


def _at_it(store: Store, base: str) -> tuple[Order, Placed] | None:
    """The newest order of the same work, if it waits or runs."""
    for number in reversed(handover.numbers(store, base)):
        order, placed = handover.record(store, f"{base}.{number}")
        if placed is not None:
            lives = handover.batch_system(order.backend).look(order, placed)
            return (order, placed) if any(live.state in ("pending", "running") for live in lives) else None
    return None


def _fetch(written: Written, plan: Plan, how: How) -> None:
    choices = Choices(json=how.json)
    searched = Searched(written) if plan.asked.tune else None
    recipes = [element.recipe for element in plan.elements]
    if searched is not None:
        recipes = [searched.base_recipe, *(trial_recipe(searched, trial) for trial in corner_trials(searched))]
    for recipe in recipes:
        fetch(recipe, list(recipe.graph().values()), choices)


def _hand_over(order: Order, plan: Plan, site: Site, store: Store, how: How) -> Placed:
    """The folder, the batch system, the record, in this order. An order that is refused leaves nothing behind; one that got no
    answer leaves its folder, for it may be queued."""
    recipes = {f"{submission.RECIPES}/{index}.yaml": element.text for index, element in enumerate(plan.elements)}
    if order.backend == "slurm":
        from cluster.submit.slurm_ask import present

        present("sbatch")
    handover.lay_out(store, order, site, recipes)
    try:
        with show.console(err=True).status(f"handing {order.id} over"):
            if order.backend == "slurm":
                from cluster.submit import slurm

                placed = slurm.submit(order, site)
            else:
                from cluster.submit import ray_jobs

                placed = ray_jobs.submit(order, site, str(how.address))
    except BadInput:  # anything else may have been taken all the same
        store.files.remove_tree(f"{handover.JOBS}/{order.id}")
        shutil.rmtree(order.folder, ignore_errors=True)
        raise
    handover.note_placed(store, order, placed)
    return placed


def _show(order: Order, site: Site) -> int:
    if order.backend == "slurm":
        from cluster.submit import slurm

        print(slurm.script(order, site), end="")  # noqa: T201 - to be read, or piped into sbatch
        return EXIT_OK
    show.as_json(dataclasses.asdict(order))
    return EXIT_OK


def _tell(order: Order, placed: Placed, store: Store, how: How, *, attached: bool) -> None:
    facts: dict[str, Any] = {
        "id": order.id, "backend": order.backend, "handle": placed.handle, "where": placed.where, "attached": attached,
        "folder": order.folder, "store": store.url, "size": dataclasses.asdict(order.size),
        "elements": [[command.name for command in element] for element in order.elements],
    }  # fmt: skip
    if how.json:
        show.as_json(facts)
        return
    console = show.console()
    what = f"Slurm job {placed.handle}" if order.backend == "slurm" else f"Ray job {placed.handle} on {placed.where}"
    verb = "is submitted already, as" if attached else "is submitted as"
    size = f": {_size(order.size)}" if order.backend == "slurm" else ""
    times = f", {len(order.elements)} times" if order.is_array else ""
    console.print(f"{order.id} {verb} {what}{size}{times}", markup=False)
    where = [] if Path(store.url) == Path(STORE).absolute() else ["--store", store.url]
    for name, command in (
        ("watch", ["status", order.id, "--follow"]),
        ("read", ["logs", order.id, "--follow"]),
        ("end", ["cancel", order.id]),
    ):
        console.print(f"  {name:<8} {shlex.join(['w2s', *command, *where])}", markup=False)
    console.print(f"  {'folder':<8} {order.folder}", markup=False)
    if attached:
        console.print("nothing new was submitted; --again submits it once more", markup=False)


def _size(size: Size) -> str:
    """`2 nodes with 4 GPUs and 32 cores each, for 24:00:00`."""
    parts = [f"{size.gpus} GPUs" if size.gpus > 1 else "1 GPU"] if size.gpus else []
    parts.append(f"{size.cpus} cores" if size.cpus > 1 else "1 core")
    nodes = "1 node" if size.nodes == 1 else f"{size.nodes} nodes"
    each = " each" if size.nodes > 1 else ""
    return f"{nodes} with {' and '.join(parts)}{each}, for {clock(size.time_s)}"
