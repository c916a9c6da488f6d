"""What a store knows of jobs: orders, what became of their attempts, and runs; found by whatever name a user has for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.disk import told
from cluster.errors import BadInput, Problem
from cluster.files import shown
from cluster.run_record import Run, read_runs
from cluster.store import Store
from cluster.submit.handover import JOBS, ORDER, record
from cluster.submit.order import Order, Placed, checked_id

Tell = Callable[[Problem], object]
NAMED = 8  # ids in an error message


@dataclass(frozen=True)
class Record:
    """An order as it was handed over. `placed` None: it never was, or not yet."""

    order: Order
    placed: Placed | None

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def since(self) -> float | None:
        """When it was handed over, in seconds since the epoch."""
        return self.placed.time if self.placed else None


@dataclass(frozen=True)
class Happening:
    """A line of an element's `attempts.jsonl`. `what` is begun, up, notice, saved, requeue or ended; `time` since the epoch."""

    attempt: int
    what: str
    time: float
    slurm_job: str = ""
    nodes: tuple[str, ...] = ()
    address: str | None = None
    detail: str = ""
    exit_code: int | None = None
    progress: float | None = None


def quiet(problem: Problem) -> None:
    """Tells nobody."""


def orders(store: Store, tell: Tell = quiet) -> list[Record]:
    """The orders of a store, newest first; `tell` hears of each whose record is damaged."""
    found = []
    with told(f"store {shown(store.url)}", shown(store.url), remote=not store.is_local):
        for name in store.files.names(JOBS):
            try:
                found.append(_record(store, name))
            except FileNotFoundError:  # being laid out, or only a folder
                continue
            except BadInput as problem:
                tell(problem)
    return sorted(found, key=lambda one: one.since or float("inf"), reverse=True)


def _record(store: Store, name: str) -> Record:
    where = f"{shown(store.url)}/{JOBS}/{name}/{ORDER}"
    try:
        order, placed = record(store, name)
        if order.id != name or not isinstance(order.folder, str) or order.backend not in ("slurm", "ray"):
            raise BadInput(where, f"is not the record of job '{name}'", "submit it again")
    except (AttributeError, TypeError) as error:
        raise BadInput(where, f"cannot be read: {error}", "submit it again") from None
    except BadInput as problem:
        raise BadInput(where, problem.what, problem.remedy) from None
    return Record(order, placed)


def find(store: Store, text: str) -> Record | Run:
    """The order or run that `text` names: an id, a Slurm job's number, or the beginning of an id that only one has.

    Raises BadInput for what names none or several, saying what there is.
    """
    checked_id(text)
    damaged: dict[str, Problem] = {}

    def tell(problem: Problem) -> None:
        damaged[problem.where] = problem

    known = orders(store, tell)
    alone = by_hand(known, read_runs(store.files, tell))
    every: list[Record | Run] = [*known, *alone]
    for same in (
        [one for one in every if one.id == text],
        [one for one in known if one.placed and one.placed.handle in (text, text.partition("_")[0])],
        [one for one in every if one.id.startswith(text)],
    ):
        if len(same) == 1:
            return same[0]
        if same:
            raise BadInput(f"job '{text}'", f"could be {listed([one.id for one in same])}", "give more of its name")
    for where, problem in damaged.items():
        if text in (Path(where).stem, Path(where).parent.name):
            raise problem
    there = f"there are: {listed([one.id for one in every])}" if every else "it has no jobs; is it the right --store?"
    raise BadInput(f"job '{text}'", f"is not in the store {shown(store.url)}", there)


def by_hand(known: Sequence[Record], runs: Sequence[Run]) -> list[Run]:
    """The runs that no order of the store accounts for."""
    ordered = {one.id for one in known}
    return [run for run in runs if run.order is None or run.order.id not in ordered]


def listed(names: Sequence[str]) -> str:
    """The first names of a list that may be long."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more (`w2s status`)" if more > 0 else "")


def happenings(order: Order, element: int, tell: Tell = quiet) -> list[Happening]:
    """What became of an element's attempts, oldest first; [] where its folder cannot be seen from here."""
    file = Path(order.folder) / str(element) / "attempts.jsonl"
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_happening(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError):
            if number < len(lines):  # the last may be in the writing
                tell(BadInput(f"{file}:{number}", "is not readable", "the line is passed over"))
    return found


def _happening(fields: dict[str, Any]) -> Happening:
    code, progress = fields.get("exit_code"), fields.get("progress")
    return Happening(
        int(fields["attempt"]), str(fields["what"]), float(fields["time"]), str(fields.get("slurm_job") or ""),
        tuple(map(str, fields.get("nodes") or ())), fields.get("address"), str(fields.get("detail") or ""),
        None if code is None else int(code), None if progress is None else float(progress),
    )  # fmt: skip


def drivers(order: Order, runs: Sequence[Run], element: int) -> list[Run]:
    """The newest journal of each driver of an element that has written one, in order."""
    newest: dict[int, Run] = {}
    for run in (*_of_order(order, runs, element), *_in_folder(order, element)):
        assert run.order is not None
        if run.order.command not in newest or newest[run.order.command].updated < run.updated:
            newest[run.order.command] = run
    return [newest[command] for command in sorted(newest)]


def _of_order(order: Order, runs: Sequence[Run], element: int) -> Iterator[Run]:
    for run in runs:
        if run.order is not None and (run.order.id, run.order.element) == (order.id, element):
            yield run


def _in_folder(order: Order, element: int) -> Iterator[Run]:
    """The same from the order's folder: the store may have let go of old ones, or its writer may not have reached it."""
    folder = Path(order.folder) / str(element)
    for command in range(len(order.elements[element])):
        try:
            run = Run.from_bytes((folder / f"run-{command}.json").read_bytes(), str(folder))
        except (OSError, BadInput):
            continue
        if run.order is not None and run.order.id == order.id:
            yield run


def printed(record: Record, element: int | None = None) -> list[Path]:
    """The files with what the drivers and the batch script of an order (of one element) print, oldest first."""
    folder = Path(record.order.folder) / "out"
    files = sorted(folder.glob("*.out"), key=lambda file: (_element_of(file), file.stat().st_mtime))
    if element is None or not record.order.is_array:
        return files
    return [file for file in files if _element_of(file) == element]


def _element_of(file: Path) -> int:
    tail = file.stem.partition("_")[2]
    return int(tail) if tail.isdigit() else 0
