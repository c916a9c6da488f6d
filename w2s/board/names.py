"""What runs are called in TensorBoard: methods, seeds and roles, never keys. A run is a folder, so names are safe as such."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from w2s.method import MethodConfig
from w2s.stages import Adapt, Grade, Model, Outcome, Predict, Probe, Stage, Train, knows_truth, walk

LONGEST = 100
SUMMARY = "summary"
COLUMNS = "columns"
FIGURES = "figures"
RESULTS, BY_SEED = "results", "by seed"


def safe(name: str) -> str:
    """A name as one part of a path: what may mean something else becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._=+,() -]+", "-", name)[:LONGEST].strip(" .") or "-"


def method_names(methods: Iterable[MethodConfig]) -> dict[MethodConfig, str]:
    """A run's first part for each method: its kind where no other has that, else with what was chosen. No two are equal."""
    chosen = list(methods)
    kinds = Counter(method.kind for method in chosen)
    found: dict[MethodConfig, str] = {}
    for method in chosen:
        wanted = safe(method.kind if kinds[method.kind] == 1 else method.label)
        taken = {SUMMARY, COLUMNS, FIGURES, *found.values()}
        more = (f"{wanted[: LONGEST - 5]} {count}" for count in range(2, len(chosen) + 4))
        found[method] = wanted if wanted not in taken else next(name for name in more if name not in taken)
    return found


def seed_name(seed: int) -> str:
    return f"seed {seed}"


def roles(outcome: Outcome) -> dict[str, Stage]:
    """Every stage of an outcome that has learning curves, by what it is there: student, ceiling, weak 0, weak 1, ...

    Models between the supervisor and the student have the names of their grades (rung 1); legs before the last, and what
    else learned, are named after these. A probe is fitted at once and has no curve.
    """
    found: dict[str, Stage] = {}
    named: set[str] = set()

    def name(role: str, stage: Stage | None) -> None:
        if isinstance(stage, Model | Adapt) and not isinstance(stage, Probe) and stage.key not in named:
            named.add(stage.key)
            found[safe(role)] = stage

    name("student", _taught(outcome.transfer))
    name("ceiling", _taught(outcome.ceiling))
    supervisors = [] if outcome.floor is None else walk(outcome.floor.labels).values()
    for stage in supervisors:
        if isinstance(stage, Model) and knows_truth(stage.labels):
            name(f"weak {sum(role.startswith('weak ') for role in found)}", stage)
    for role, stage in outcome.extras.items():
        name(role, _taught(stage))
    for role, stage in list(found.items()):
        before = stage.before if isinstance(stage, Train) else None
        while before is not None:
            assert before.leg is not None
            name(f"{role}, leg {before.leg.index + 1}", before)
            before = before.before
    for stage in walk(*outcome.stages()).values():
        if isinstance(stage, Adapt):
            name(f"reader {sum(role.startswith('reader ') for role in found)}", stage)
        else:
            name(f"other {sum(role.startswith('other ') for role in found)}", stage)
    return found


def _taught(grade: Stage | None) -> Stage | None:
    """The model whose labels, or answers, a grade is of."""
    if not isinstance(grade, Grade):
        return None
    return grade.labels.model if isinstance(grade.labels, Predict) else getattr(grade.labels, "model", None)
