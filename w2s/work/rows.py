"""The Rows stage: a task's examples, checked and written as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cluster.job import Context
from w2s import registry
from w2s.examples import Example
from w2s.sift import truth
from w2s.task import check_overlap, load
from w2s.work import arrays, table
from w2s.work.unchanged import check_rows


def run(context: Context) -> dict[str, Any]:
    """Load both splits, refuse overlap, write `rows.parquet`. Returns counts and what was dropped."""
    choice = context.science["task"]
    config = registry.module("tasks", choice["kind"]).Config.model_validate(choice)
    check_rows(context, config)
    train, test = load(config, "train"), load(config, "test")
    check_rows(context, config)
    kept, overlap_notes = check_overlap(config, train.examples, test.examples)
    n_classes = config.n_classes
    table.write(context.out, {"train": kept, "test": test.examples}, n_classes)
    columns = getattr(registry.module("tasks", choice["kind"]), "columns", None)
    if columns is not None:
        arrays.write(context.out, [example.id for example in (*kept, *test.examples)], columns(config))
    notes = [*train.notes, *test.notes, *overlap_notes]
    for note in notes:
        context.watch.note(note)
    if config.writes:
        return {
            "n_train": len(kept),
            "n_test": len(test.examples),
            "majority": _majority(test.examples),
            "notes": notes,
        }
    counts = {f"test_class_{c}": sum(e.label == c for e in test.examples) for c in range(n_classes)}
    if config.sided:
        counts |= {f"n_train_{side}": sum(e.side == side for e in kept) for side in ("source", "shift")}
    return {"n_train": len(kept), "n_test": len(test.examples), "n_classes": n_classes, "notes": notes, **counts}


def _majority(examples: Sequence[Example]) -> float:
    """The share of the commonest answer: what who always writes the same can reach."""
    return max(Counter(map(truth, examples)).values()) / len(examples)
