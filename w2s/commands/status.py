"""`w2s status`: each stage there, running (by whom), or missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from cluster.monitor import clock
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.load import load


def status(reference: str, overrides: Sequence[str], store_url: str, *, as_json: bool) -> None:
    """Print the state of every stage of a recipe."""
    recipe = load(reference, overrides)
    store = Store.open(store_url, create=False)
    leases = store.leases()
    rows = []
    for key, job in bridge.jobs(recipe).items():
        row: dict[str, object] = {"key": key, "name": job.name, "state": "missing"}
        if store.has(key):
            receipt = store.receipt(key)
            row |= {"state": "done", "seconds": receipt.seconds, "host": receipt.hardware.get("hostname")}
        elif leases.held(key):
            row |= {"state": "running", "holder": str(leases.holder(key))}
        rows.append(row)
    if as_json:
        show.as_json({"recipe": recipe.name, "store": store.url, "stages": rows})
        return
    table = Table("stage", "key", "state", "", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        colour = {"done": "green", "running": "cyan"}.get(str(row["state"]), "yellow")
        detail = clock(float(str(row["seconds"]))) if "seconds" in row else str(row.get("holder", ""))
        table.add_row(escape(str(row["name"])), str(row["key"])[:10], f"[{colour}]{row['state']}[/]", escape(detail))
    console = show.console()
    console.print(table)
    counts = Counter(str(row["state"]) for row in rows)
    console.print(f"\n{escape(recipe.name)}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
