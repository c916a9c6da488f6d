"""Orders for the box, made by hand, and a look at how they go: what a test waits for before it disturbs them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.job import Job
from cluster.pool import InlinePool
from cluster.scheduler import Scheduler
from cluster.store import Store
from cluster.submit import attempts, handover
from cluster.submit import slurm as batch
from cluster.submit.order import RAY_ADDRESS, Command, Order, Size
from cluster.submit.site import Site
from tests.slurm.box import Slurm
from tests.w2s.command import OFFLINE
from w2s import bridge
from w2s.load import load

SITE = Site(partition="low", exclusive=False, cpus_per_node=2, grace_s=30, up_timeout_s=200)


@dataclass(frozen=True)
class Going:
    """An order on its way through the box. `job` is Slurm's number of it."""

    slurm: Slurm
    order: Order
    job: str

    def happenings(self, element: int = 0) -> list[dict[str, Any]]:
        return attempts.read(Path(self.order.folder) / str(element))

    def told(self, element: int = 0) -> list[str]:
        """`1 begun`, `1 up`, ...: attempts and what became of them."""
        return [f"{row['attempt']} {row['what']}" for row in self.happenings(element)]

    def printed(self) -> str:
        """What the job has printed, all elements and attempts of it."""
        return "\n".join(file.read_text() for file in sorted((Path(self.order.folder) / "out").iterdir()))

    def until_told(self, what: str, timeout_s: float = 240) -> dict[str, Any]:
        """Wait for a line of the first element's journal; the test fails at once if the job has ended without it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            rows = self.happenings()
            found[:] = [row for row in rows if f"{row['attempt']} {row['what']}" == what]
            over = self.slurm.state(self.job) in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
            assert found or not over, f"{self.told()}\n{self.printed()}"
            return bool(found)

        self.slurm.until(there, timeout_s, what)
        return found[-1]

    def until_trained(self, attempt: int, share: float, timeout_s: float = 240) -> None:
        """Wait until an attempt has done some share of a training."""
        up = self.until_told(f"{attempt} up")

        def there() -> bool:
            run = self.run()
            if run is None or run["started"] < up["time"]:
                return False
            assert not run["failures"], self.printed()
            done = [r["done"] / r["total"] for r in run["running"] if "/train " in r["name"] and r["total"]]
            return any(part >= share for part in done)

        self.slurm.until(there, timeout_s, f"attempt {attempt} has done {share:.0%} of its training")

    def run(self) -> dict[str, Any] | None:
        """The driver's journal."""
        try:
            journal: dict[str, Any] = json.loads((Path(self.order.folder) / "0" / "run-0.json").read_text())
            return journal
        except (OSError, ValueError):
            return None

    def show(self, title: str) -> None:
        """Print what Slurm says of the job, for whoever runs the tests with -s."""
        facts = self.slurm.facts(self.job)
        wanted = (
            "JobId",
            "ArrayTaskId",
            "JobState",
            "Reason",
            "Restarts",
            "ExitCode",
            "RunTime",
            "NodeList",
            "EndTime",
        )
        print(f"\n### {title}\n{self.slurm.squeue(self.job)}")
        print(self.slurm.run("sacct", "--completion", f"--jobs={self.job}", check=False))
        print(" ".join(f"{name}={facts[name]}" for name in wanted if name in facts), flush=True)


def submit(
    slurm: Slurm, folder: Path, *elements: Sequence[Sequence[str]], nodes: int = 2, cpus: int = 2, site: Site = SITE
) -> Going:
    """Order that some commands (arguments of the interpreter) be run: for each element those that share a cluster."""
    store = Store.open(str(folder / "store"))
    name = f"t{len(list(folder.glob('store/jobs/*')))}"
    home = Path(store.url) / "jobs" / name
    commands = tuple(tuple(Command(f"c{n}", tuple(argv)) for n, argv in enumerate(element)) for element in elements)
    order = Order(
        name, "slurm", str(home), store.url, "toy", commands,
        Size(nodes=nodes, cpus=cpus, memory_mib=500 * cpus, time_s=3000), environment=OFFLINE,
    )  # fmt: skip
    handover.lay_out(store, order, site, {})
    return Going(slurm, order, batch.submit(order, site).handle)


def w2s_run(recipe: Path, store: Path) -> tuple[str, ...]:
    """The command of an order that runs a recipe."""
    return ("-m", "w2s", "run", str(recipe), "--store", str(store), "--ray-address", RAY_ADDRESS, "--plain")


def jobs_of(recipe: Path) -> Mapping[str, Job]:
    return bridge.jobs(load(str(recipe), []))


def do_all_but(recipe: Path, store: Path, left: str) -> str:
    """Do a recipe's work in this process, but for the stage whose name has `left` in it, and what needs that. Returns its key."""
    jobs = jobs_of(recipe)
    key = next(key for key, job in jobs.items() if left in job.name and job.kind == "Train")
    without, grew = {key}, True
    while grew:
        more = {other for other, job in jobs.items() if without & set(job.needs)} - without
        without, grew = without | more, bool(more)
    place = Store.open(str(store))
    with place.leases() as leases:
        summary = Scheduler(place, InlinePool(place.url), leases, lambda event: None).run(
            jobs, [k for k in jobs if k not in without]
        )
    assert summary.exit_code == 0, summary.failures
    return key
