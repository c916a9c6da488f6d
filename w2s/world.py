"""The words a method is written in. A world is one seed's view of a recipe: its task, its two learners, its halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.losses.xent import Config as Xent
from w2s.stages import (
    Combine,
    Embed,
    Given,
    Grade,
    HowCombined,
    Labels,
    Model,
    Outcome,
    Part,
    PartName,
    Piece,
    Predict,
    Probe,
    Rows,
    Split,
    Stage,
    Train,
)
from w2s.task import TaskConfig

Supervisor: TypeAlias = Model | Labels
"""Who labels the strong half: a model trained here, or labels that came with the task."""

MEMBER_STRIDE = 1000  # seeds of ensemble members lie this far apart, so runs with neighbouring seeds share none


@dataclass(frozen=True)
class World:
    """One seed of one recipe, in the words methods are written in. Everything here is a pure function to a value."""

    task: TaskConfig
    weak: Learner
    strong: Learner
    split: Split
    seed: int

    def part(self, name: PartName, piece: Piece | None = None) -> Part:
        """The weak or strong half (or a piece of one), the held-out rows, or the test rows (which no seed moves)."""
        rows = Rows(self.task)
        return Part(rows, "test") if name == "test" else Part(rows, name, self.split, self.seed, piece)

    def embed(self, learner: Learner) -> Embed:
        """The hidden states a probing learner reads, of all the task's rows: one pass for all seeds and halves."""
        assert learner.probe is not None, "only a probe reads hidden states"
        return Embed(
            learner.model, Rows(self.task), learner.probe.kept, learner.pooling, learner.max_tokens, learner.precision
        )

    def train(
        self,
        learner: Learner,
        part: PartName | Part,
        *,
        labels: Labels | None = None,
        loss: LossConfig | None = None,
        seed: int | None = None,
    ) -> Model:
        """Finetune `learner` (or fit its probe) on a half: on ground truth, or on `labels`.

        Held-out rows carry labels of the same origin, so selection never sees a truth the student would not have;
        `select: oracle` alone looks at ground truth, and every table says so.
        """
        rows = part if isinstance(part, Part) else self.part(part)
        seed, loss = self.seed if seed is None else seed, loss or Xent()
        watched = learner.evaluate != "never"
        oracle = learner.select == "oracle"
        own = None if labels is None else labels.on(rows)
        val = self.part("val") if watched else None
        val_labels = labels.on(self.part("val")) if watched and labels is not None and not oracle else None
        if learner.probe is None:
            return Train(learner, rows, own, loss, seed, val, val_labels)
        seed = seed if learner.head == "normal" else 0  # a head that starts from zero knows no other chance
        return Probe(learner, rows, own, loss, seed, val, val_labels, features=self.embed(learner))

    def supervisors(self, count: int = 1) -> list[Supervisor]:
        """Weak models trained on the weak half's truth, differing by seed; or the labels that came with the task."""
        if self.weak.model.form == "given":
            return [Given(self.weak.model.column, self.part("strong"))]
        return [self.train(self.weak, "weak", seed=self.seed + MEMBER_STRIDE * i) for i in range(count)]

    def predict(self, model: Supervisor, part: PartName | Part) -> Labels:
        """A model's probabilities on a part's rows; labels that came with the task are asked for those rows."""
        rows = part if isinstance(part, Part) else self.part(part)
        return model.on(rows) if isinstance(model, Labels) else Predict(model, rows)

    def combine(self, labels: Sequence[Labels], how: HowCombined = "mean_prob") -> Labels:
        """One verdict from several; a single labeller is its own verdict."""
        return labels[0] if len(labels) == 1 else Combine(tuple(labels), how)

    def grade(self, labels: Labels, supervisor: Labels | None = None) -> Grade:
        """Labels against the truth of the test rows, and agreement with the supervisor's there."""
        test = self.part("test")
        return Grade(labels.on(test), test, None if supervisor is None else supervisor.on(test))

    def outcome(self, verdict: Labels, student: Model, extras: dict[str, Stage] | None = None) -> Outcome:
        """Floor from the verdict the student learned from, ceiling from the strong model on the same half's truth."""
        ceiling = self.train(self.strong, "strong")
        return Outcome(
            floor=self.grade(verdict),
            transfer=self.grade(self.predict(student, "test"), supervisor=verdict),
            ceiling=self.grade(self.predict(ceiling, "test"), supervisor=verdict),
            extras=extras or {},
        )
