"""Events become something to look at: a live display on a terminal, log lines elsewhere, JSON lines for scripts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from cluster.errors import from_record
from cluster.events import Event
from cluster.job import Job
from cluster.tally import Running, Tally

SHOWN = 12  # running stages on screen; a cluster may have hundreds


class Monitor(Tally):
    """Base: keeps count of what happens; subclasses show it. Use as a context manager."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        super().__init__(jobs)
        self.started = time.monotonic()

    def __call__(self, event: Event) -> None:
        self.count(event)
        self.show(event)

    def show(self, event: Event) -> None:
        """Nothing: the quiet monitor."""

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Lines(Monitor):
    """One time-stamped line per change of state, for logs and pipes."""

    def __init__(self, jobs: Mapping[str, Job], out: TextIO | None = None) -> None:
        super().__init__(jobs)
        self._out = out or sys.stderr

    def show(self, event: Event) -> None:
        line = describe(event, self.name(event.key))
        if line:
            print(
                f"{time.strftime('%H:%M:%S')} [{self.cached + self.done}/{self.total}] {line}",
                file=self._out,
                flush=True,
            )


class JsonLines(Monitor):
    """Every event as one line of JSON, for scripts."""

    def __init__(self, jobs: Mapping[str, Job], out: TextIO | None = None) -> None:
        super().__init__(jobs)
        self._out = out or sys.stderr  # taken now: while an inline stage runs, sys.stderr is its log

    def show(self, event: Event) -> None:
        record = {
            "event": event.kind,
            "time": event.time,
            "key": event.key,
            "name": self.name(event.key) if event.key else "",
            **event.data,
        }
        print(json.dumps(record, default=str), file=self._out, flush=True)


class Display(Monitor):
    """A live table of what runs, on a terminal; lasting lines (done, failed) scroll above it."""

    def __init__(self, jobs: Mapping[str, Job], console: Console) -> None:
        super().__init__(jobs)
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._picture)

    def show(self, event: Event) -> None:
        lasting = ("done", "failed", "skipped", "retry", "elsewhere", "waiting", "stopped", "note")
        if event.kind in lasting and (line := describe(event, self.name(event.key))):
            style = {"failed": "red", "skipped": "yellow", "retry": "yellow", "done": "green"}.get(event.kind, "cyan")
            self._console.print(f"[{style}]{escape(line)}[/]", highlight=False)

    def _picture(self) -> RenderableType:
        elapsed = time.monotonic() - self.started
        head = f"{self.cached + self.done}/{self.total} stages there ({self.cached} from the store)"
        head += f", {len(self.running)} running, {self.failed} failed, {clock(elapsed)}"
        table = Table.grid(padding=(0, 2))
        for key, stage in list(self.running.items())[:SHOWN]:
            bar: RenderableType = "starting"
            if stage.total:
                bar = ProgressBar(total=stage.total, completed=stage.done, width=20)
            table.add_row(escape(self.name(key)), bar, _facts(stage))
        return Group(head, table)

    def __enter__(self) -> Display:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)


def _facts(stage: Running) -> str:
    words = [f"{stage.done:g}/{stage.total:g} {stage.unit}"] if stage.total else []
    if "train/loss" in stage.scalars:
        words.append(f"loss {stage.scalars['train/loss']:.3f}")
    left_s = stage.left_s(time.monotonic())
    if left_s is not None:
        words.append(f"{clock(left_s)} left")
    return "  ".join(words)


def describe(event: Event, name: str) -> str:
    """One line for an event that changes a state or speaks of the whole run; empty for the others."""
    data = event.data
    if event.kind == "note" and not event.key:  # a stage's own notes are in its log
        return str(data["text"])
    if event.kind == "planned":
        return f"{data['total']} stages, {data['cached']} already in the store"
    if event.kind == "started":
        return f"started  {name} ({data['device']}, {data['host']})"
    if event.kind == "done":
        return f"done     {name} ({clock(data['seconds'])}){_headline(data['metrics'])}"
    if event.kind == "retry":
        return f"retry    {name}: {from_record(data['error'])}"
    if event.kind == "failed":
        tail = "".join(f"\n         | {line}" for line in data["tail"])
        return f"failed   {from_record(data['error'])}{tail}\n         log: {data['log']}"
    words = {
        "skipped": f"not run  {name}: needs {data.get('needs')}",
        "stopped": f"stopped  {name} (saved; the same command goes on)",
        "waiting": f"waiting  {name}: for {data.get('for')}",
        "elsewhere": f"waiting  {name}: {data.get('holder')} is at it",
        "cached": f"there    {name} (another driver finished it)",
    }
    return words.get(event.kind, "")


def _headline(metrics: Mapping[str, object]) -> str:
    for name in ("accuracy", "val_agreement", "n_train"):
        value = metrics.get(name)
        if isinstance(value, float | int):
            return f"  {name.removeprefix('val_')} {value:.3f}" if isinstance(value, float) else f"  {name} {value}"
    return ""


def clock(seconds: float) -> str:
    """`7 s`, `3:20`, `2:05:00`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
