"""`w2s plan`: the graph, what the store holds, what would run, roughly for how long, and on how much memory.

Imports neither torch nor ray: a model met for the first time is counted in a process of its own, and remembered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from cluster.memory import text
from cluster.monitor import clock
from cluster.scheduler import needed
from cluster.sizes import Sizes
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.cost import Rates, Work
from w2s.fit import Fit, local_device
from w2s.load import read
from w2s.machines import Machine
from w2s.recipe import Recipe
from w2s.search.kept import left
from w2s.search.searched import Searched
from w2s.sizes import sizes_of
from w2s.stages import Probe, Stage
from w2s.units import parse_bytes
from w2s.uses import Use, fit_in, sizes_in, use_of

STAGE_COLUMNS = ("plain", "0", "1", "2", "3")


@dataclass(frozen=True)
class Row:
    """A stage as it is planned."""

    key: str
    name: str
    stage: Stage
    state: str
    seconds: float | None
    work: Work | None

    @property
    def runs(self) -> bool:
        return self.state == "will run"

    @property
    def use(self) -> Use | None:
        """Of the model the stage runs."""
        return use_of(self.stage)


@dataclass(frozen=True)
class Model:
    """A learner of the recipe as it is used, its machine, and what it needs there. `sizes` None: its config is not on this disk."""

    use: Use
    machine: Machine
    sizes: Sizes | None
    fit: Fit | None


def plan(
    reference: str, overrides: Sequence[str], store_url: str, *, device_memory: str | None = None, as_json: bool = False
) -> None:
    """Print every stage with its state and a rough time; below, every model with its memory. Raises BadInput."""
    memory = None if device_memory is None else parse_bytes("--device-memory", device_memory)
    written = read(reference, overrides)
    recipe = written.recipe
    searched = None if recipe.search is None else Searched(written)
    store = Store.open(store_url, create=False)
    stages = recipe.graph()
    jobs = bridge.jobs(recipe, stages.values())
    states = needed(jobs, [stage.key for stage in recipe.goals()], store)
    models, trained = _models(recipe, list(stages.values()), memory)
    sizes = {model.use: model.sizes for model in models}
    rates = Rates(store, stages.values())
    rows: list[Row] = []
    for key, stage in stages.items():
        state = {"cached": "in the store", "waiting": "will run"}.get(states.get(key, ""), "not needed")
        row = Row(key, jobs[key].name, stage, state, rates.seconds(stage) if state == "will run" else None, None)
        use = row.use
        work = rates.work(stage, sizes.get(use), trained.get(use)) if use else None
        rows.append(Row(row.key, row.name, row.stage, row.state, row.seconds, work))
    if as_json:
        show.as_json(
            _json(recipe.name, store.url, rows, models) | ({"search": _search(searched, store)} if searched else {})
        )
        return
    _print(recipe.name, store.url, rows)
    if searched is not None:
        show.console().print(_search_line(searched, store), markup=False)
    _print_models(models, rows)


def _search(searched: Searched, store: Store) -> dict[str, Any]:
    """What `w2s tune` would do, for programs."""
    found = left(searched, store)
    counts = {"trials": searched.search.trials} if found is None else vars(found)
    return {"algorithm": searched.search.algorithm, **counts}


def _search_line(searched: Searched, store: Store) -> str:
    """The same for people. How many stages a search has that finds its trials on the way, nobody knows before."""
    told = _search(searched, store)
    line = f"search ({told['algorithm']}): {told['trials']} trials"
    if "stages" in told:
        line += f" with {told['stages']} stages in all, {told['to_run']} to run; as separate runs they would be {told['apart']}"
    return line


def _models(recipe: Recipe, stages: Sequence[Stage], memory: int | None) -> tuple[list[Model], dict[Use, Sizes | None]]:
    """Each learner once for each use of it, in the order in which stages come; and its sizes as a classifier."""
    found_in = (Use(stage.learner) if isinstance(stage, Probe) else use_of(stage) for stage in stages)
    uses = dict.fromkeys(use for use in found_in if use is not None and use.learner.model.form != "features")
    console = show.console(err=True)
    on_count = (lambda line: console.print(line, style="dim")) if sys.stderr.isatty() else None
    counted = sizes_of([use.learner for use in uses], on_count=on_count)
    found: list[Model] = []
    for use in uses:
        own = counted[use.learner]
        machine = recipe.machine_of(use.learner.model) if use.how == "prompted" else recipe.machine(use.learner)
        sizes = sizes_in(use, own) if own else None
        fitted = fit_in(use, machine, sizes, local_device(machine, memory)) if sizes else None
        found.append(Model(use, machine, sizes, fitted))
    return found, {use: counted[use.learner] for use in uses}


def _json(name: str, url: str, rows: Sequence[Row], models: Sequence[Model]) -> dict[str, Any]:
    index = {model.use: number for number, model in enumerate(models)}
    stages = [
        {
            "key": row.key,
            "name": row.name,
            "kind": row.stage.kind,
            "state": row.state,
            "rough_seconds": row.seconds,
            "model": index[row.use] if row.use else None,
            "work": row.work.to_json() if row.work else None,
        }
        for row in rows
    ]
    described = [
        {
            "name": model.use.learner.model.short,
            "use": model.use.how,
            "learner": model.use.learner.dump(),
            "machine": model.machine.dump(),
            "sizes": model.sizes.to_json() if model.sizes else None,
            "fit": model.fit.to_json() if model.fit else None,
        }
        for model in models
    ]
    return {"recipe": name, "store": url, "stages": stages, "models": described}


def _print(name: str, url: str, rows: Sequence[Row]) -> None:
    table = Table("stage", "key", "state", "roughly", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        time = clock(row.seconds) if row.seconds is not None else ("?" if row.runs else "")
        colour = {"in the store": "green", "will run": "yellow"}.get(row.state, "dim")
        table.add_row(escape(row.name), row.key[:10], f"[{colour}]{row.state}[/]", time)
    console = show.console()
    console.print(table)
    run = [row for row in rows if row.runs]
    known = [row.seconds for row in run if row.seconds is not None]
    unknown = len(run) - len(known)
    total = f", about {clock(sum(known))} of device time" if known else ""
    total += f" ({unknown} stages of unknown length)" if unknown else ""
    console.print(f"\n{escape(name)}: {len(rows)} stages, {len(run)} to run{total}; store {escape(url)}")


def _print_models(models: Sequence[Model], rows: Sequence[Row]) -> None:
    """One line a model: size, how it would be trained, memory a device under each ZeRO stage, and all the work it still has."""
    columns = [name for name in STAGE_COLUMNS if any(model.fit and name in model.fit.by_stage for model in models)]
    table = Table(
        "model", "parameters", "learning", "devices", "ZeRO", "micro-batch",
        *(f"ZeRO-{name}" if name.isdigit() else "memory" for name in columns),
        "of", "steps", "tokens", "FLOPs", "device-hours", box=None, header_style="bold", pad_edge=False,
    )  # fmt: skip
    for model in models:
        table.add_row(*_cells(model, columns), *_work_cells([row for row in rows if row.use == model.use]))
    console = show.console()
    console.print()
    console.print(table)
    for model in models:
        if model.fit and model.fit.note:
            console.print(f"[yellow]{escape(model.use.name)}: {escape(model.fit.note)}[/]")


def _cells(model: Model, columns: Sequence[str]) -> list[str]:
    name, devices = escape(model.use.name), str(model.machine.devices)
    if model.sizes is None or model.fit is None:
        return [name, "?", "?", devices, "?", "?", *("?" for _ in columns), "?"]
    choice, found = model.fit.choice, []
    for column in columns:
        memory = model.fit.by_stage.get(column)
        over = memory is not None and memory.total > model.fit.device.bytes
        found.append("" if memory is None else f"[red]{text(memory.total)}[/]" if over else text(memory.total))
    zero = "-" if choice is None or choice.zero is None else str(choice.zero)
    micro = str(choice.micro) if choice else "none fits"
    sizes = (show.count(model.sizes.parameters), show.count(model.sizes.learning))
    return [name, *sizes, devices, zero, micro, *found, text(model.fit.device.bytes)]


def _work_cells(rows: Sequence[Row]) -> list[str]:
    """Steps of one training stage; tokens, FLOPs and device-hours of everything that will run."""
    work = [row.work for row in rows if row.work and row.runs]
    if not work:
        return ["?" if any(row.runs for row in rows) else ""] + [""] * 3
    steps = sorted({one.steps for one in work if one.steps is not None})
    hours = [one.device_hours for one in work]
    known = sum(hour for hour in hours if hour is not None)
    return [
        " to ".join(map(str, dict.fromkeys((steps[0], steps[-1])))) if steps else "",
        show.count(sum(one.tokens for one in work)),
        f"{sum(one.flops for one in work):.1e}",
        f"{known:.2g}" if None not in hours else "?",
    ]
