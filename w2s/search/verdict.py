"""Students that learn from other labels than their supervisor's: of a chain, of a probe that relabels.

What such a student says of itself while it trains is agreement with what it learns from. A chain could please that by learning
less at every rung, so a search judges its end by the first supervisor's labels of the held-out rows instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cluster.store import Store
from w2s.labels import LabelTable, places
from w2s.metrics.misfits import reverse_kl
from w2s.recipe import Recipe
from w2s.search.trials import students
from w2s.stages import Labels, Model, Predict, Stage, knows_truth, reached


@dataclass(frozen=True)
class Verdict:
    """A student's and its first supervisor's labels of the held-out rows."""

    student: Labels
    supervisor: Labels

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (self.student, self.supervisor)

    def marks(self, store: Store) -> dict[str, float]:
        """agreement, confidence, misfit, loss (cross-entropy to the supervisor's labels, nats): as a student's own marks."""
        own, weak = (LabelTable.load(store.path(stage.key)) for stage in self.stages)
        order = places(weak.ids, own.ids, "held-out labels")
        weak_NC, own_NC = weak.probs_NC[order], own.probs_NC
        log_NC = np.log(np.clip(own_NC, np.finfo(np.float64).tiny, 1.0))
        return {
            "agreement": float((own_NC.argmax(axis=-1) == weak_NC.argmax(axis=-1)).mean()),
            "loss": float(-(weak_NC * log_NC).sum(axis=-1).mean()),
            "confidence": float(own_NC.max(axis=-1).mean()),
            "misfit": float(reverse_kl(own_NC, weak_NC).mean()),
        }


def verdicts(recipe: Recipe) -> dict[int, Verdict]:
    """Seed -> how to judge its student, where that learned from other labels than its supervisor's."""
    found: dict[int, Verdict] = {}
    for seed, outcome in recipe.outcomes[recipe.method].items():
        student = students(recipe).get(seed)
        supervisor = None if outcome.transfer is None else outcome.transfer.supervisor
        if student is None or supervisor is None or student.val is None or student.val_labels is None:
            continue
        first = supervisor.on(student.val)
        if first.key != student.val_labels.key:
            found[seed] = Verdict(Predict(student, student.val), first)
    return found


def learns_from_a_student(student: Model) -> bool:
    """Whether a student's held-out labels are another student's."""
    below = [] if student.val_labels is None else reached(student.val_labels)
    return any(isinstance(stage, Model) and not knows_truth(stage.labels) for stage in below)
