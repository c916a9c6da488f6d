"""Orders made by hand, and a Slurm that says what a test wrote into files: for what a real one does not show on demand."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.store import Store
from cluster.submit.handover import lay_out, note_placed
from cluster.submit.order import Command, Order, Placed
from cluster.submit.site import Site

SCRIPTS = {
    "squeue": 'cat "{folder}/queue"',
    "sacct": 'cat "{folder}/book"',
    "scancel": 'echo "$@" >> "{folder}/scancelled"; cp "{folder}/after" "{folder}/queue"',
}


@dataclass(frozen=True)
class FakeSlurm:
    """`queue`, `book` and (what scancel makes of the queue) `after` are files in `folder`."""

    folder: Path

    @classmethod
    def on_path(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
        folder.mkdir()
        for name, script in SCRIPTS.items():
            (folder / name).write_text("#!/bin/sh\n" + script.format(folder=folder) + "\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        fake = cls(folder)
        for name in ("queue", "book", "after"):
            fake.says(name)
        return fake

    def says(self, name: str, *lines: str) -> None:
        draft = self.folder / f"{name}.draft"
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        draft.rename(self.folder / name)


def queued(order: str, element: str, state: str, *, nodes: str = "", reason: str = "None", code: str = "0") -> str:
    """A line of squeue."""
    return "|".join([order, element, state, nodes, "N/A", "N/A", "1:00:00", "0", code, reason])


def placed(
    store: Path, identity: str, handle: str, names: Sequence[str], *, backend: str = "slurm", ago_s: float = 60.0
) -> Order:
    """An order in the store, one element for each name, handed over a while ago."""
    opened = Store.open(store)
    elements = tuple((Command(name, ("-m", "w2s", "run", "toy.yaml")),) for name in names)
    order = Order(identity, backend, str(store / "jobs" / identity), str(store), "toy.yaml", elements)  # type: ignore[arg-type]
    lay_out(opened, order, Site(), {"out/.keep": ""})
    where = "" if backend == "slurm" else "http://127.0.0.1:1"
    note_placed(opened, order, Placed(identity, handle, where, getpass.getuser(), "login", time.time() - ago_s))
    return order


def happened(order: Order, element: int, *rows: Mapping[str, object]) -> None:
    """Lines of an element's attempts.jsonl."""
    folder = Path(order.folder) / str(element)
    folder.mkdir(exist_ok=True)
    with open(folder / "attempts.jsonl", "a", encoding="utf-8") as file:
        file.writelines(json.dumps({"attempt": 1, "time": time.time() - 30, **row}) + "\n" for row in rows)
