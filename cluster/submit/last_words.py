"""What an element of an order wrote of itself, for when its batch system has forgotten it or does not answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.submit.attempts import read
from cluster.submit.live import Live
from cluster.submit.order import Order


def last_words(order: Order, element: int, why: str) -> Live:
    """How an element ended, if that is the last thing in its journal of attempts; else "unknown", and `why` nobody knows."""
    records = _records(Path(order.folder) / str(element))
    begun = [record for record in records if record.get("what") == "begun"]
    nodes: list[Any] = next((r["nodes"] for r in reversed(records) if isinstance(r.get("nodes"), list)), [])
    last = records[-1] if records else {}
    code = last.get("exit_code") if last.get("what") == "ended" else None
    ended = isinstance(code, int)
    if ended:
        why = "" if code == 0 else str(last.get("detail") or f"exit code {code}")
    return Live(
        element,
        "unknown" if not ended else "failed" if code else "done",
        why=why,
        nodes=tuple(map(str, nodes)),
        started=_number(begun[-1].get("time")) if begun else None,
        ended=_number(last.get("time")) if ended else None,
        restarts=max(0, len(begun) - 1),
        exit_code=code if ended else None,
    )


def _records(folder: Path) -> list[dict[str, Any]]:
    """An element's journal; nothing where it cannot be read, for it is asked when something is wrong already."""
    try:
        return [record for record in read(folder) if isinstance(record, dict)]
    except (OSError, ValueError):
        return []


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
