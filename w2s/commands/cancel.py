"""`w2s cancel`: an order is given up at its batch system; a local run is asked to save and leave, from any machine."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

from cluster.disk import told
from cluster.errors import BadInput
from cluster.run_record import Run, is_alive, is_here, stop_name
from cluster.store import Store
from cluster.submit.handover import batch_system
from cluster.submit.overview import JobView, ask, of_order
from cluster.submit.records import Record, find
from w2s.commands import show
from w2s.commands.jobs_found import Jobs

WAIT_S = 20.0  # a checkpoint of a small model is written by then; a large one is left to it
POLL_S = 0.5


@dataclass(frozen=True)
class Cancelled:
    """What came of it. `asked` is False where it was over already."""

    view: JobView
    asked: bool


def cancel(text: str, store_url: str, *, as_json: bool) -> None:
    """Cancel a job, wait a little, say what happened. Raises BadInput for one that is not there."""
    store = Store.open(store_url, create=False)
    found = find(store, text)
    done = _cancel_run(store, found) if isinstance(found, Run) else _cancel_order(store, found)
    if as_json:
        show.as_json({"job": done.view.id, "asked": done.asked, "state": done.view.state, "over": done.view.over})
        return
    show.console().print(_words(done), markup=False)


def _cancel_order(store: Store, record: Record) -> Cancelled:
    jobs = Jobs(store)
    view = jobs.one(record)
    if view.over:
        return Cancelled(view, False)
    if record.placed is None:
        raise BadInput(f"job {record.id}", "was never handed over to a batch system", "there is nothing to cancel")
    batch_system(record.order.backend).cancel(record.order, record.placed)
    deadline = time.monotonic() + WAIT_S
    while not view.over and time.monotonic() < deadline:
        time.sleep(POLL_S)
        view = of_order(record, (), ask(record))
    return Cancelled(view, True)


def _cancel_run(store: Store, run: Run) -> Cancelled:
    jobs = Jobs(store)
    if not is_alive(run):
        return Cancelled(jobs.one(run), False)
    asked_before = store.files.exists(stop_name(run.id))
    with told("cancel", store.url, remote=not store.is_local):
        store.files.replace(stop_name(run.id), b"")
    if is_here(run) and not asked_before:  # a second signal would end it before it has saved
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone meanwhile; another user's reads the file
            os.kill(run.pid, signal.SIGTERM)
    deadline = time.monotonic() + WAIT_S
    view = jobs.one(run)
    while not view.over and time.monotonic() < deadline:
        time.sleep(POLL_S)
        view = jobs.one(run)
    return Cancelled(view, True)


def _words(done: Cancelled) -> str:
    view = done.view
    if not done.asked:
        return f"{view.id} is over already: {view.state}"
    if not view.over:
        return f"{view.id} was asked to save and leave, and is at it ({view.state}); `w2s status {view.id} --follow` tells when"
    if view.state == "stopped":
        return f"{view.id} has saved and left; the same command goes on from there"
    return f"{view.id}: {view.state}"
