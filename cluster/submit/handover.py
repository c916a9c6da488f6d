"""Handing an order to its batch system: its folder is laid out first, its record is written last.

<store>/jobs/<id>/order.json, placed.json      the record, wherever the store is
Order.folder                                   the same folder for a local store; else one of the site's
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cluster.disk import told
from cluster.errors import BadEnvironment
from cluster.store import Store
from cluster.submit.live import Live
from cluster.submit.order import Backend, Order, Placed
from cluster.submit.site import Site

JOBS = "jobs"
ORDER, PLACED, SITE = "order.json", "placed.json", "site.json"
PRIVATE = 0o700  # tokens and logs will lie in it
HOME_JOBS = "~/.w2s/jobs"


class BatchSystem(Protocol):
    """What Slurm and Ray Jobs are asked: see `slurm` and `ray_jobs`."""

    def look(self, order: Order, placed: Placed) -> list[Live]: ...

    def cancel(self, order: Order, placed: Placed) -> None: ...


def batch_system(backend: Backend) -> BatchSystem:
    """The module that speaks to it."""
    if backend == "slurm":
        from cluster.submit import slurm

        return slurm
    from cluster.submit import ray_jobs

    return ray_jobs


def jobs_folder(store: Store, site: Site) -> Path:
    """Where orders' folders are made: in a store that is a folder, else in one of the site's. Every node must see it."""
    if store.is_local:
        return Path(store.url) / JOBS
    return Path(site.jobs or HOME_JOBS).expanduser().absolute()


def numbers(store: Store, base: str) -> list[int]:
    """The numbers of the orders of one piece of work, oldest first."""
    found = [name.removeprefix(f"{base}.") for name in store.files.names(JOBS) if name.startswith(f"{base}.")]
    return sorted(int(text) for text in found if text.isdigit())


def record(store: Store, identity: str) -> tuple[Order, Placed | None]:
    """An order as it was handed over. `Placed` None: it never was, or not yet. Raises BadInput for a damaged record."""
    order = Order.from_json(store.files.read(f"{JOBS}/{identity}/{ORDER}"))
    try:
        return order, Placed.from_json(store.files.read(f"{JOBS}/{identity}/{PLACED}"))
    except FileNotFoundError:
        return order, None


def lay_out(store: Store, order: Order, site: Site, texts: Mapping[str, str]) -> None:
    """Make the order's folder and write into it: the order, the site, and `texts` by relative path.

    Raises BadEnvironment when the folder is there already (somebody submits the same at this moment) or cannot be written to.
    """
    home = Path(order.folder)
    with told("order", str(home)):
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            home.mkdir(mode=PRIVATE)
        except FileExistsError:
            raise BadEnvironment(
                str(home), "is there already", "was it submitted a moment ago? `w2s status` tells"
            ) from None
        for name, text in {SITE: json.dumps(dataclasses.asdict(site), indent=1) + "\n", **texts}.items():
            place = home / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    _note(store, order, ORDER, order.to_json())


def note_placed(store: Store, order: Order, placed: Placed) -> None:
    """Record where the order went: from now on `w2s status` finds it from any machine that sees the store."""
    _note(store, order, PLACED, placed.to_json())


def _note(store: Store, order: Order, name: str, text: str) -> None:
    with told("order", store.url, remote=not store.is_local):
        store.files.replace(f"{JOBS}/{order.id}/{name}", text.encode())
        if not store.is_local:  # what runs inside reads it from its own folder
            (Path(order.folder) / name).write_text(text, encoding="utf-8")
