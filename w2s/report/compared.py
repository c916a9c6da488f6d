"""A comparison as tables of text, and as JSON."""

from __future__ import annotations

import dataclasses
import json as json_module
from collections.abc import Sequence
from typing import Any

from w2s.metrics import to_json
from w2s.report.cells import p_text
from w2s.report.changes import Change
from w2s.report.compare import Comparison, Pair, Score, Side
from w2s.report.sheets import UNKNOWN, Sheet, interval

SCHEMA = 1
RESULTS = ("method", "score", "A", "B", "B - A", "p", "seeds", "rows")
LONGEST = 60  # characters of a field's value


def title(found: Comparison) -> str:
    return f"A: {found.a.told}  against  B: {found.b.told}"


def sheets(found: Comparison) -> tuple[Sheet, ...]:
    """What differs in science, on machines, and in results."""
    return (
        _changes(
            "Science that differs",
            found.science,
            "none: the same stages, as far as both have them" if _same(found) else "none",
        ),
        _changes("Machines that differ", found.machines, "none"),
        _results(found),
    )


def _same(found: Comparison) -> bool:
    return found.a.recipe.fingerprint == found.b.recipe.fingerprint


def _changes(name: str, changes: Sequence[Change], none: str) -> Sheet:
    rows = tuple((change.path, _shown(change.a), _shown(change.b)) for change in changes)
    return Sheet(name, ("field", "A", "B"), rows, () if rows else (none,))


def _shown(value: Any) -> str:
    if value is None:
        return UNKNOWN
    text = value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _results(found: Comparison) -> Sheet:
    rows = tuple(_line(pair, score) for pair in found.pairs for score in pair.scores)
    notes = [f"{_named(pair)}, {score.name}: {score.why}" for pair in found.pairs for score in pair.scores if score.why]
    notes += [f"only in {side}: {name}" for side, names in found.alone.items() for name in names]
    notes += found.notes
    legend = (
        f"In brackets: {found.level:.0%} bootstrap intervals over test rows and seeds, those of B - A paired: the same rows, and the "
        "same seeds where both have them. p: exact permutation test over rows (with one seed McNemar's), these models taken as they "
        "are: the luck of other seeds is in the interval alone. p values are not corrected for their number.",
    )
    return Sheet("Results", RESULTS, rows, (*notes, *(legend if rows else ("no method of A has a counterpart in B",))))


def _line(pair: Pair, score: Score) -> tuple[str, ...]:
    digits = 2 if score.name == "PGR" else 3
    apart = "same stages" if score.same else interval(score.difference, digits)
    return (
        _named(pair), score.name, interval(score.a, digits), interval(score.b, digits), apart,
        UNKNOWN if score.p is None or score.same else p_text(score.p), ", ".join(map(str, score.seeds)) or UNKNOWN,
        UNKNOWN if score.rows is None else f"{score.rows:,}",
    )  # fmt: skip


def _named(pair: Pair) -> str:
    return pair.a if pair.a == pair.b else f"{pair.a} / {pair.b}"


def json(found: Comparison) -> str:
    """The comparison as one JSON document; nothing of it is left out."""
    return json_module.dumps(as_dict(found), indent=2, allow_nan=False) + "\n"


def as_dict(found: Comparison) -> dict[str, Any]:
    """Plain JSON values."""
    return {
        "schema": SCHEMA, "level": found.level, "a": _side(found.a), "b": _side(found.b),
        "science": [dataclasses.asdict(change) for change in found.science],
        "machines": [dataclasses.asdict(change) for change in found.machines],
        "results": [
            {"a": pair.a, "b": pair.b, "scores": [_score(score) for score in pair.scores]} for pair in found.pairs
        ],
        "alone": {side: list(names) for side, names in found.alone.items()}, "notes": list(found.notes),
    }  # fmt: skip


def _side(side: Side) -> dict[str, Any]:
    recipe = side.recipe
    return {
        "told": side.told, "recipe": recipe.name, "fingerprint": recipe.fingerprint, "store": side.store,
        "seeds": list(recipe.seeds), "missing": side.missing, "finish": side.finish or None,
    }  # fmt: skip


def _score(score: Score) -> dict[str, Any]:
    plain = dataclasses.asdict(score)
    ends = {name: to_json(getattr(score, name)) for name in ("a", "b", "difference")}
    return {**plain, **ends, "seeds": list(score.seeds)}
