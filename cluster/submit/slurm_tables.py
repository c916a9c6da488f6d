"""What `squeue` and `sacct` print of an order's elements, read into Live. Pure; lines that cannot be read are passed over."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from cluster.submit.live import Live
from cluster.submit.slurm_reasons import explain, explain_end
from cluster.submit.slurm_words import UNSET, elements, exit_code, moment, node_names, seconds, state

BAR = "|"
# the reason comes last: it is the one field that may contain anything
QUEUE_FIELDS = (
    "Name", "ArrayTaskID", "State", "NodeList", "StartTime", "EndTime", "TimeLeft", "RestartCnt", "exit_code", "Reason",
)  # fmt: skip
BOOK_FIELDS = ("JobName", "JobID", "State", "NodeList", "Start", "End", "ExitCode")
QUEUE_FORMAT = ",".join(f"{field}:{BAR}" for field in QUEUE_FIELDS)
BOOK_FORMAT = ",".join(BOOK_FIELDS)


def from_queue(text: str, name: str, count: int) -> dict[int, Live]:
    """`squeue -O QUEUE_FORMAT -r -h` of an order of `count` elements, by element.

    Jobs of another name are others', whose number came again.
    """
    found: list[tuple[str, Live]] = []
    for row in _rows(text, len(QUEUE_FIELDS), name):
        _, element, told, nodes, start, end, left, restarts, code, reason = row
        live = _live(
            told, nodes, moment(start), moment(end), exit_code(code), reason,
            time_left_s=seconds(left), restarts=int(restarts) if restarts.isdigit() else 0,
        )  # fmt: skip
        found.append((element, live))
    return _by_element(found, count)


def from_book(text: str, name: str, count: int) -> dict[int, Live]:
    """`sacct -X -P -n --format=BOOK_FORMAT` of an order of `count` elements; what is written of an element last counts."""
    found: list[tuple[str, Live]] = []
    for _, job, told, nodes, start, end, code in _rows(text, len(BOOK_FIELDS), name):
        live = _live(told, nodes, moment(start), moment(end), exit_code(code), "")
        found.append((job.partition("_")[2], live))
    return _by_element(found, count)


def _by_element(found: Iterable[tuple[str, Live]], count: int) -> dict[int, Live]:
    """A line without an element is the only job, or all that were still waiting when `scancel --user` ended an array."""
    by_element: dict[int, Live] = {}
    rest: Live | None = None
    for element, live in found:
        indices = elements(element)
        by_element |= {index: replace(live, element=index) for index in indices}
        rest = rest if indices else live
    if rest is not None:
        by_element = {index: replace(rest, element=index) for index in range(count)} | by_element
    return by_element


def _rows(text: str, width: int, name: str) -> Iterable[list[str]]:
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(BAR, width - 1)]
        if len(fields) == width and fields[0] == name:
            yield [*fields[:-1], fields[-1].rstrip(BAR)]


def _live(
    told: str, nodes: str, start: float | None, end: float | None, code: int | None, reason: str,
    *, time_left_s: float | None = None, restarts: int = 0,
) -> Live:  # fmt: skip
    is_in = state(told)
    over, pending = is_in in ("done", "failed", "cancelled"), is_in == "pending"
    if over:
        why = explain_end(told, reason, code)
    elif pending:
        why = explain(reason) + (f"; expected to start at {_clock(start)}" if start and reason != "BeginTime" else "")
        why += f"; until {_clock(start)}" if start and reason == "BeginTime" else ""
    else:
        why = "" if reason in UNSET else explain(reason)
    return Live(
        0,
        is_in,
        told.split(" ", 1)[0],
        why,
        () if pending else node_names(nodes),
        started=start if not pending and nodes not in UNSET else None,
        ended=end if over else None,
        time_left_s=time_left_s if is_in == "running" else None,
        restarts=restarts,
        exit_code=_told_code(is_in, code),
    )


def _told_code(is_in: str, code: int | None) -> int | None:
    """An exit code, where it means anything: of a job that lost its node it is 0."""
    return code if is_in == "done" or (is_in == "failed" and code) else None


def _clock(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch))
