"""What the commands about jobs share: is it a job or a recipe, which jobs there are, and batch systems asked with patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from cluster.errors import BadInput, Problem
from cluster.run_record import Run, read_runs
from cluster.store import Store
from cluster.submit.overview import JobView, Told, ask, of_order, of_orders, of_run
from cluster.submit.records import Record, by_hand, find, orders, printed
from w2s.load import SUFFIXES, packaged_names
from w2s.load import find as find_recipe

DAY_S = 86400.0
ASK_EVERY_S = 10.0  # a batch system serves many; journals are read as often as we like


def recipe_file(text: str) -> Path | None:
    """The recipe that a name means; None where it must be a job's. Raises BadInput for a recipe that is not there."""
    try:
        return find_recipe(text)
    except BadInput:
        if text.endswith(SUFFIXES) or "/" in text or Path(text).is_dir():
            raise
        return None


def job(store: Store, text: str) -> Record | Run:
    """The job that a name means. Raises BadInput, saying what there is."""
    try:
        return find(store, text)
    except BadInput as problem:
        if "is not in the store" not in problem.what:
            raise
        near = get_close_matches(text, packaged_names(), 1)
        remedy = f"did you mean the recipe '{near[0]}'?" if near else problem.remedy
        raise BadInput(problem.where, f"{problem.what}, and no recipe has that name", remedy) from None


class Patient:
    """Asks batch systems, but none of them again within `ASK_EVERY_S`."""

    def __init__(self, look: Callable[[Record], Told] = ask) -> None:
        self._look = look
        self._told: dict[str, tuple[float, Told]] = {}

    def __call__(self, record: Record) -> Told:
        when, told = self._told.get(record.id, (0.0, Told()))
        if not when or time.monotonic() - when >= ASK_EVERY_S:
            told = self._look(record)
            self._told[record.id] = (time.monotonic(), told)
        return told


class Jobs:
    """The jobs of a store. Every call reads them anew; `notes` collects what could not be read, each once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.notes: list[str] = []
        self._look = Patient()

    def all(self) -> list[JobView]:
        """All of them, newest first."""
        return self._views(self._records(), self._runs())

    def recent(self) -> tuple[list[JobView], int]:
        """Those alive or ended within a day, newest first; and how many others there are."""
        records, runs = self._records(), self._runs()
        # who says of itself that it ended long ago is not asked about
        fresh = [record for record in records if not _is_old(of_order(record, runs, Told()), surely=True)]
        alone = [run for run in by_hand(records, runs) if not _is_old(of_run(run))]
        shown = [view for view in self._views(fresh, runs, alone) if not _is_old(view)]
        return shown, len(records) + len(by_hand(records, runs)) - len(shown)

    def one(self, found: Record | Run) -> JobView:
        """That job, as it is now."""
        fresh = find(self.store, found.id)
        if isinstance(fresh, Run):
            return of_run(fresh)
        return of_order(fresh, self._runs(), self._look(fresh), self._tell)

    def at_recipe(self, reference: str, name: str) -> list[JobView]:
        """Those at a recipe, by how it was named and by its own name, if they are recent."""
        runs = self._runs()
        own = {run.order.id for run in runs if run.order is not None and run.recipe == name}
        same = (reference, name)
        records = [one for one in self._records() if one.id in own or one.order.recipe in same or _stem(one) == name]
        alone = [run for run in by_hand(self._records(), runs) if run.recipe == name]
        return [view for view in self._views(records, runs, alone) if not _is_old(view)]

    def output(self, view: JobView) -> dict[int, list[str]]:
        """By element, the files with what its drivers printed."""
        record = next((one for one in self._records() if one.id == view.id), None) if view.system != "local" else None
        if record is None:
            return {}
        return {element.number: [str(file) for file in printed(record, element.number)] for element in view.elements}

    def _views(
        self, records: Sequence[Record], runs: Sequence[Run], alone: Sequence[Run] | None = None
    ) -> list[JobView]:
        others = by_hand(self._records(), runs) if alone is None else alone
        views = [*of_orders(records, runs, self._look, self._tell), *(of_run(run) for run in others)]
        return sorted(views, key=lambda view: view.since or float("inf"), reverse=True)

    def _records(self) -> list[Record]:
        return orders(self.store, self._tell)

    def _runs(self) -> list[Run]:
        return read_runs(self.store.files, self._tell)

    def _tell(self, problem: Problem) -> None:
        if str(problem) not in self.notes:
            self.notes.append(str(problem))


def _stem(record: Record) -> str:
    return Path(record.order.recipe).stem


def _is_old(view: JobView, *, surely: bool = False) -> bool:
    """Whether it is over for more than a day; or, if not `surely`, was not heard of since by anybody."""
    heard = [run.updated for element in view.elements for run in element.drivers]
    heard += [happening.time for element in view.elements for happening in element.attempts]
    heard += [view.since] if view.since is not None else []
    if not view.over and (surely or view.state != "unknown"):
        return False
    last = view.ended or max(heard, default=None)
    return last is not None and time.time() - last > DAY_S
