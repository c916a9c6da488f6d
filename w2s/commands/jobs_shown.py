"""Jobs as people and programs read them: a table of many, one in detail, a line for each change, JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from cluster.errors import from_record
from cluster.monitor import clock
from cluster.run_record import Run
from cluster.store import Store
from cluster.submit.overview import ElementView, JobView, view_state
from cluster.submit.records import Happening

COLOURS = {"running": "cyan", "pending": "yellow", "done": "green", "failed": "red", "gone": "red", "unknown": "dim"}
SHOWN = 3  # stages at work, of one job, in a table
METRICS = ("train/loss", "eval/accuracy", "eval/agreement")
NODES = 4


def table(views: Sequence[JobView]) -> Table:
    """A line for each job."""
    shown = Table(
        "job", "where", "state", "stages", "left", "now", "nodes", box=None, header_style="bold", pad_edge=False
    )
    for view in views:
        left = f"~{clock(view.eta_s)}" if view.eta_s is not None else ""
        nodes = _several(dict.fromkeys(node for element in view.elements for node in element.nodes))
        colour = COLOURS.get(view.state, "yellow")
        shown.add_row(
            escape(view.id), escape(where(view)), f"[{colour}]{state_of(view)}[/]", stages(view.stages), left,
            escape(now(view)), escape(nodes),
        )  # fmt: skip
    return shown


def where(view: JobView) -> str:
    """`slurm 1234`, `ray http://head:8265`, `local pid 77 on HOST`."""
    if view.system == "local":
        return f"local {view.handle} on {view.where}"
    if not view.handle:
        return f"{view.system}, not handed over"
    return f"ray {view.where} {view.handle}" if view.system == "ray" else f"slurm {view.handle}"


def state_of(view: JobView) -> str:
    """`running`; of an array, how many elements are how."""
    if len(view.elements) == 1:
        return view.state
    counts: dict[str, int] = {}
    for element in view.elements:
        counts[element.state] = counts.get(element.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def stages(counts: Mapping[str, int]) -> str:
    """`5/12`, and how many failed."""
    if not counts["total"]:
        return ""
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['cached'] + counts['done']}/{counts['total']}{failed}"


def now(view: JobView) -> str:
    """What runs, how far it is, its last metric; else why it waits, or why it ended."""
    at_work = [stage for element in view.elements for run in element.alive for stage in run.running]
    if at_work:
        more = len(at_work) - SHOWN
        return "; ".join(doing(stage) for stage in at_work[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    words = [element.why for element in view.elements if element.why]
    words += [str(from_record(run.problem)) for element in view.elements for run in element.drivers if run.problem]
    words += [fault for element in view.elements for fault, _ in failures(element)]
    return next(iter([*words, *view.notes]), "")


def doing(stage: Mapping[str, Any]) -> str:
    """`train tiny on weak 45%, loss 0.312`."""
    total = float(stage.get("total") or 0)
    percent = f" {100 * float(stage.get('done') or 0) / total:.0f}%" if total else ""
    scalars = stage.get("scalars") or {}
    told = [f", {name.rpartition('/')[2]} {_number(scalars[name])}" for name in METRICS if name in scalars]
    return f"{stage['name']}{percent}{''.join(told)}"


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.3g}"  # JSON has no word for it


def failures(element: ElementView) -> list[tuple[str, str]]:
    """What failed in an element, in words, each with its stage's key."""
    return [
        (f"{stage['name']}: {from_record(stage.get('error') or {})}", str(stage["key"]))
        for run in element.drivers
        for stage in run.failures
    ]


def details(view: JobView, store: Store, output: Mapping[int, Sequence[str]]) -> list[str]:
    """A job line by line. `output` names the files with what each element's drivers printed."""
    head = f"{view.id}: {state_of(view)}; {where(view)}; {view.recipe}"
    lines = [head + (f"; since {_moment(view.since)}" if view.since else "")]
    lines += [f"note: {note}" for note in view.notes]
    lines += [element.why for element in view.elements if view.system == "local" and element.why]
    for element in view.elements:
        lines += [*([] if view.system == "local" else ["", _headline(element)]), *_body(element, store)]
        lines += [f"  output: {file}" for file in output.get(element.number, ())]
    return lines


def _headline(element: ElementView) -> str:
    told = f" ({element.told})" if element.told and element.told.lower() != element.state else ""
    words = [f"element {element.number} ({', '.join(element.names)}): {element.state}{told}"]
    words += [f"exit code {element.exit_code}"] if element.exit_code is not None else []
    words += [f"on {_several(element.nodes)}"] if element.nodes else []
    if element.started is not None:
        words.append(f"for {clock(max(0.0, (element.ended or time.time()) - element.started))}")
    words += [f"{clock(element.time_left_s)} until its time limit"] if element.time_left_s is not None else []
    words += [f"restarted {element.restarts} times"] if element.restarts else []
    return ", ".join(words) + (f": {element.why}" if element.why else "")


def _body(element: ElementView, store: Store) -> Iterator[str]:
    for run in element.drivers:
        left = f", about {clock(run.eta_s)} left" if run in element.alive and run.eta_s is not None else ""
        code = f" with exit code {run.exit_code}" if run.exit_code else ""
        yield f"  {run.recipe}: {view_state(run)}{code}, stages {stages(run.stages) or 'not counted yet'}{left}"
        if run in element.alive:
            yield from (f"    {doing(stage)} ({stage.get('device')}, {stage.get('host')})" for stage in run.running)
        if run.problem:
            yield f"  failed: {from_record(run.problem)}"
    for words, key in failures(element):
        yield f"  failed: {words}"
        yield f"    log: {_log(store, key)}"
    for number in sorted({happening.attempt for happening in element.attempts}):
        told = [happening for happening in element.attempts if happening.attempt == number]
        yield f"  attempt {number}: " + ", ".join(_happened(happening) for happening in told)


def _happened(happening: Happening) -> str:
    code = f" with {happening.exit_code}" if happening.exit_code is not None else ""
    detail = f" ({happening.detail})" if happening.detail else ""
    return f"{happening.what}{code} {_moment(happening.time)}{detail}"


def _log(store: Store, key: str) -> str:
    return str(store.logs / f"{key}.log")


def changes(views: Sequence[JobView]) -> dict[str, str]:
    """A line for each element, by its name: the same words as long as nothing but a percentage changes."""
    lines = {}
    for view in views:
        for element in view.elements:
            name = view.id if len(view.elements) == 1 else f"{view.id} [{element.number}]"
            counts = {key: sum(int(run.stages[key]) for run in element.drivers) for key in view.stages}
            at_work = [str(stage["name"]) for run in element.alive for stage in run.running]
            words = [element.state, stages(counts), "; ".join(at_work[:SHOWN]) or element.why]
            lines[name] = " ".join([name, *(word for word in words if word)])
    return lines


def as_dict(view: JobView, output: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """A job for programs. Times are seconds since the epoch."""
    return {
        "id": view.id, "system": view.system, "handle": view.handle, "where": view.where, "recipe": view.recipe,
        "state": view.state, "over": view.over, "since": view.since, "ended": view.ended, "stages": view.stages,
        "eta_s": view.eta_s, "notes": list(view.notes),
        "elements": [_element(element, output.get(element.number, ())) for element in view.elements],
    }  # fmt: skip


def _element(element: ElementView, output: Sequence[str]) -> dict[str, Any]:
    plain = {name: value for name, value in vars(element).items() if name not in ("drivers", "attempts")}
    return {
        **plain, "eta_s": element.eta_s, "drivers": [_driver(run) for run in element.drivers],
        "attempts": [asdict(happening) for happening in element.attempts], "output": list(output),
    }  # fmt: skip


def _driver(run: Run) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run.to_bytes())
    return {**told, "state": view_state(run)}


def _moment(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))


def _several(names: Sequence[str] | Mapping[str, Any]) -> str:
    found = list(names)
    return ", ".join(found[:NODES]) + (f" and {len(found) - NODES} more" if len(found) > NODES else "")
