"""`w2s logs`: what a job's drivers printed, or the log of a stage; of what failed, unasked, the stage that failed."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cluster.errors import BadInput
from cluster.files import KEY
from cluster.run_record import Run
from cluster.store import Store
from cluster.submit.overview import JobView
from cluster.submit.records import Record, listed, printed
from w2s import bridge
from w2s.commands.jobs_found import Jobs, job, recipe_file
from w2s.load import load

FOLLOW_S = 0.5
LEAST_KEY = 4  # hex digits that may stand for a key
HEX = set("0123456789abcdef")


@dataclass(frozen=True)
class Asked:
    """The flags of `w2s logs`. `lines` 0: all of them."""

    stage: str | None = None
    element: int | None = None
    lines: int = 200
    follow: bool = False


def logs(target: str | None, store_url: str, asked: Asked) -> None:
    """Print logs. Raises BadInput where there is none to print, saying what there is."""
    try:
        _logs(target, store_url, asked)
    except BrokenPipeError:  # `| head` has seen enough; what Python flushes as it ends must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        if not asked.follow:
            raise


def _logs(target: str | None, store_url: str, asked: Asked) -> None:
    jobs = Jobs(Store.open(store_url, create=False))
    if target is not None and recipe_file(target) is not None:
        recipe = load(target)
        views = jobs.at_recipe(target, recipe.name)
        keys = set(bridge.jobs(recipe))
        files = _stage_files(jobs.store, asked.stage, keys) if asked.stage else _by_default(jobs.store, views, target)
        _print(files, asked, over=lambda: all(view.over for view in jobs.at_recipe(target, recipe.name)))
        return
    found = job(jobs.store, target) if target is not None else _newest(jobs)
    _logs_of(found, jobs, asked)


def _logs_of(found: Record | Run, jobs: Jobs, asked: Asked) -> None:
    if isinstance(found, Record):
        _check_element(found, asked.element)

    def over() -> bool:
        return jobs.one(found).over

    if asked.stage:
        _print(_stage_files(jobs.store, asked.stage, None), asked, over=over)
    elif isinstance(found, Run):  # its driver printed on somebody's terminal
        _print(_by_default(jobs.store, [jobs.one(found)], found.id), asked, over=over)
    elif found.order.backend == "ray" and not printed(found, asked.element):
        _print_of_ray(found, asked)
    else:
        files = printed(found, asked.element)
        if not files:
            view = jobs.one(found)
            why = next((element.why for element in view.elements if element.why), "")
            raise BadInput(f"job {found.id}", f"has printed nothing yet: it is {view.state}", why)
        _print(files, asked, over=over)


def _newest(jobs: Jobs) -> Record | Run:
    views = jobs.all()
    if not views:
        raise BadInput("logs", "the store has no jobs", "name a recipe, or the right --store")
    return job(jobs.store, views[0].id)


def _check_element(record: Record, element: int | None) -> None:
    count = len(record.order.elements)
    if element is not None and not 0 <= element < count:
        raise BadInput("--element", f"{element} is none of job {record.id}", f"it has 0 to {count - 1}")


def _print_of_ray(record: Record, asked: Asked) -> None:
    """A Ray cluster keeps what its jobs print."""
    from cluster.submit import ray_jobs

    if record.placed is None:
        raise BadInput(f"job {record.id}", "was never handed over", "submit it again")
    pieces = ray_jobs.logs(record.order, record.placed, asked.follow, element=asked.element)
    if asked.follow:
        for piece in pieces:
            _write(piece)
        return
    text = "".join(pieces)
    lines = text.splitlines(keepends=True)
    _write("".join(lines[-asked.lines :] if asked.lines else lines))


# ---- which files


def _by_default(store: Store, views: Sequence[JobView], what: str) -> list[Path]:
    """The logs of what failed; else of what runs."""
    runs = [run for view in views for element in view.elements for run in element.drivers]
    failed = [str(stage["key"]) for run in runs for stage in run.failures]
    running = [
        str(stage["key"]) for view in views for one in view.elements for run in one.alive for stage in run.running
    ]
    files = [file for key in dict.fromkeys(failed or running) for file in _files_of(store, key)]
    if not files:
        remedy = "name a stage of it: --stage NAME, or --stage KEY as `w2s status RECIPE` lists them"
        raise BadInput(f"logs of '{what}'", "nothing has failed and nothing runs here", remedy)
    return files


def _stage_files(store: Store, stage: str, keys: set[str] | None) -> list[Path]:
    """The logs of the one stage that a name, part of a name, or the beginning of a key means."""
    names = {key: name for key, name in _named(store) if keys is None or key in keys}
    if len(stage) >= LEAST_KEY and set(stage) <= HEX:
        same = [key for key in names if key.startswith(stage)]
        if len(same) == 1:
            return _files_of(store, same[0])
    same = [key for key, name in names.items() if name == stage] or [
        key for key, name in names.items() if stage in name
    ]
    if len(same) == 1:
        return _files_of(store, same[0])
    if same:
        told = listed([f"{key[:10]} {names[key]}" for key in same])
        raise BadInput(f"--stage '{stage}'", f"could be {told}", "give its key")
    some = listed(sorted(set(names.values())))
    remedy = f"there are: {some}" if some else f"logs are on the machine where a stage ran, in {store.logs}"
    raise BadInput(f"--stage '{stage}'", "has no log here", remedy)


def _named(store: Store) -> Iterator[tuple[str, str]]:
    """Every stage with a log on this machine: its key, and the name in the first line of its log."""
    for file in sorted(store.logs.glob("*.log")):
        if KEY.fullmatch(file.stem):
            with open(file, encoding="utf-8", errors="replace") as lines:
                first = lines.readline()
            name = first.removeprefix("--- ").rpartition(f" [{file.stem[:12]}]")[0]
            yield file.stem, name or file.stem[:12]


def _files_of(store: Store, key: str) -> list[Path]:
    """A stage's log, and those of a gang's other ranks."""
    own = store.logs / f"{key}.log"
    ranks = sorted(store.logs.glob(f"{key}.rank*.log"), key=lambda file: int(file.stem.rpartition("rank")[2] or 0))
    return [file for file in (own, *ranks) if file.is_file()]


# ---- printing them


def _print(files: Sequence[Path], asked: Asked, over: Callable[[], bool]) -> None:
    opened = [open(file, encoding="utf-8", errors="replace") for file in files]  # noqa: SIM115 - closed below, all of them
    try:
        for file, text in zip(files, opened, strict=True):
            if len(files) > 1:
                _write(f"==> {file} <==\n")
            lines = deque(text, maxlen=asked.lines or None)
            _write("".join(lines))
        last = files[-1]
        while asked.follow:
            ended = over()  # first: what comes between the two looks is still read
            for file, text in zip(files, opened, strict=True):
                last = _print_more(file, text, last)
            if ended:
                return
            time.sleep(FOLLOW_S)
    finally:
        for text in opened:
            text.close()


def _print_more(file: Path, text: TextIO, last: Path) -> Path:
    """What was added since; with the file's name where another was printed before. Returns which file was printed last."""
    more = text.read()
    if not more:
        return last
    _write((f"==> {file} <==\n" if file != last else "") + more)
    return file


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
