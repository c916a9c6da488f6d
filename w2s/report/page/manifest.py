"""What results were made with, as their receipts tell: versions, code, hardware, and digests of models and data."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import Problem
from cluster.job import Receipt
from w2s import bridge
from w2s.learner import ModelRef
from w2s.report.page.chapter import Chapter
from w2s.shown.ledger import Ledger
from w2s.stages import Adapt, Embed, Model, Prompted, Rows, Stage
from w2s.work.card import shareable
from w2s.work.table import FILE as ROWS

LISTED = 150  # stages in the page's table
DIGITS = 12


@dataclass(frozen=True)
class Used:
    """A pretrained model: where it comes from, and what pins it."""

    name: str
    source: str
    revision: str
    digest: str


@dataclass(frozen=True)
class Data:
    """A task's rows: where they come from, how many, what was left out, and the digest of the table."""

    name: str
    source: str
    rows: str
    notes: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Made:
    """One stage: when it began, how long it took, on what; "" of what is not there."""

    name: str
    key: str
    began: str
    seconds: float | None
    where: str


@dataclass(frozen=True)
class Manifest:
    """All of that. Values of versions, code and hardware have the number of stages behind them."""

    versions: tuple[tuple[str, str], ...]
    code: tuple[str, ...]
    hardware: tuple[str, ...]
    when: str
    models: tuple[Used, ...]
    data: tuple[Data, ...]
    stages: tuple[Made, ...]
    more_stages: int


def manifest_of(chapters: Sequence[Chapter], ledger: Ledger) -> Manifest:
    """From the receipts of every stage that the recipes need."""
    graph = {key: stage for chapter in chapters for key, stage in chapter.graph.items()}
    receipts = [receipt for key in graph if (receipt := ledger.receipt(key)) is not None]
    stages = tuple(_made(stage, ledger.receipt(key)) for key, stage in list(graph.items())[:LISTED])
    return Manifest(
        _versions(receipts), tuple(_counted(_code(receipt.git) for receipt in receipts)),
        tuple(_counted(_machine(receipt.hardware) for receipt in receipts)), _when(receipts), _models(graph.values()),
        tuple(_data(stage, ledger.receipt(key)) for key, stage in graph.items() if isinstance(stage, Rows)), stages,
        max(0, len(graph) - LISTED),
    )  # fmt: skip


def _versions(receipts: Sequence[Receipt]) -> tuple[tuple[str, str], ...]:
    """Of each distribution its version; where stages differ, each with the number of stages."""
    names = sorted({name for receipt in receipts for name in receipt.versions}, key=lambda name: (name != "w2s", name))
    return tuple(
        (name, ", ".join(_counted(receipt.versions[name] for receipt in receipts if name in receipt.versions)))
        for name in names
    )


def _counted(values: Iterable[str]) -> list[str]:
    """Each value once, the commonest first; with its number of stages where there are several."""
    found = Counter(value for value in values if value)
    return [f"{value} ({count} stages)" if len(found) > 1 else value for value, count in found.most_common()]


def _code(git: Mapping[str, Any]) -> str:
    if not git.get("commit"):
        return ""
    changed = (
        f", with changes (their digest {str(git.get('diff_sha256', 'unknown'))[:DIGITS]})" if git.get("dirty") else ""
    )
    return f"commit {git['commit']}{changed}"


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = Counter(map(str, hardware.get("gpus") or ()))
    parts = [
        str(hardware.get("hostname", "")), str(hardware.get("cpu", "")), f"{hardware.get('cpus', '?')} CPUs",
        f"{hardware['memory_gib']} GiB" if "memory_gib" in hardware else "", *(f"{count} x {name}" for name, count in gpus.items()),
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def _when(receipts: Sequence[Receipt]) -> str:
    if not receipts:
        return ""
    first, last = min(one.started for one in receipts), max(one.started + one.seconds for one in receipts)
    return f"{_time(first)} to {_time(last)} UTC"


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _models(stages: Iterable[Stage]) -> tuple[Used, ...]:
    refs: dict[ModelRef, None] = {}
    for stage in stages:
        if isinstance(stage, Model | Adapt):
            refs.setdefault(stage.learner.model)
        elif isinstance(stage, Embed | Prompted):
            refs.setdefault(stage.model)
    return tuple(_used(ref) for ref in refs)


def _used(ref: ModelRef) -> Used:
    try:
        own = ref.identity()["source"]
    except Problem:  # a local folder that is gone since
        own = None
    digest = own["sha256"] if isinstance(own, dict) else ref.sha256
    revision = ref.revision if ref.form == "hub" else ""
    return Used(ref.short, str(shareable(ref.source)), revision, digest or "")


def _data(stage: Rows, receipt: Receipt | None) -> Data:
    facts = {} if receipt is None else receipt.metrics
    counted = f"{facts['n_train']:,} to learn from, {facts['n_test']:,} test rows" if facts else "not there yet"
    digest = "" if receipt is None else str(receipt.files.get(ROWS, {}).get("sha256", ""))
    return Data(stage.task.kind, stage.task.SOURCE, counted, tuple(map(str, facts.get("notes", ()))), digest)


def _made(stage: Stage, receipt: Receipt | None) -> Made:
    name = bridge.name(stage)
    if receipt is None:
        return Made(name, stage.key[:DIGITS], "", None, "")
    where = f"{receipt.hardware.get('device', '')} of {receipt.hardware.get('hostname', '?')}".strip()
    return Made(name, stage.key[:DIGITS], _time(receipt.started), receipt.seconds, where)
