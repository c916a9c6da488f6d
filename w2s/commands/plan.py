"""`w2s plan`: the graph, what the store holds, what would run, roughly for how long. Imports neither torch nor ray."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from cluster.monitor import clock
from cluster.scheduler import needed
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.cost import Rates
from w2s.load import load


def plan(reference: str, overrides: Sequence[str], store_url: str, *, as_json: bool) -> None:
    """Print every stage with its state and a rough time."""
    recipe = load(reference, overrides)
    store = Store.open(store_url, create=False)
    stages = recipe.graph()
    jobs = bridge.jobs(recipe, stages.values())
    goals = [stage.key for stage in recipe.goals()]
    states = needed(jobs, goals, store)
    rates = Rates(store, stages.values())
    rows: list[dict[str, object]] = []
    for key, stage in stages.items():
        state = {"cached": "in the store", "waiting": "will run"}.get(states.get(key, ""), "not needed")
        seconds = rates.seconds(stage) if state == "will run" else None
        rows.append({"key": key, "name": jobs[key].name, "kind": stage.kind, "state": state, "rough_seconds": seconds})
    if as_json:
        show.as_json({"recipe": recipe.name, "store": store.url, "stages": rows})
        return
    _print(recipe.name, store.url, rows)


def _print(name: str, url: str, rows: Sequence[dict[str, object]]) -> None:
    table = Table("stage", "key", "state", "roughly", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        seconds = row["rough_seconds"]
        time = clock(float(str(seconds))) if seconds is not None else ("?" if row["state"] == "will run" else "")
        colour = {"in the store": "green", "will run": "yellow"}.get(str(row["state"]), "dim")
        table.add_row(escape(str(row["name"])), str(row["key"])[:10], f"[{colour}]{row['state']}[/]", time)
    console = show.console()
    console.print(table)
    run = [row for row in rows if row["state"] == "will run"]
    known = [float(str(row["rough_seconds"])) for row in run if row["rough_seconds"] is not None]
    unknown = len(run) - len(known)
    total = f", about {clock(sum(known))} of device time" if known else ""
    total += f" ({unknown} stages of unknown length)" if unknown else ""
    console.print(f"\n{escape(name)}: {len(rows)} stages, {len(run)} to run{total}; store {escape(url)}")
