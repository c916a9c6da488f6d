"""The words a method is written in. A world is one seed's view of a recipe: its task, its two learners, its halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.losses.xent import Config as Xent
from w2s.stages import Combine, Grade, HowCombined, Labels, Outcome, Part, PartName, Predict, Rows, Split, Stage, Train
from w2s.task import TaskConfig

MEMBER_STRIDE = 1000  # seeds of ensemble members lie this far apart, so runs with neighbouring seeds share none


@dataclass(frozen=True)
class World:
    """One seed of one recipe, in the words methods are written in. Everything here is a pure function to a value."""

    task: TaskConfig
    weak: Learner
    strong: Learner
    split: Split
    seed: int

    def part(self, name: PartName) -> Part:
        """The weak or strong half, the held-out rows, or the test rows (which no seed moves)."""
        rows = Rows(self.task)
        return Part(rows, "test") if name == "test" else Part(rows, name, self.split, self.seed)

    def train(
        self,
        learner: Learner,
        part: PartName,
        *,
        labels: Labels | None = None,
        loss: LossConfig | None = None,
        seed: int | None = None,
    ) -> Train:
        """Finetune `learner` on a half: on ground truth, or on `labels`.

        Held-out rows carry labels of the same origin, so selection never sees a truth the student would not have;
        `select: oracle` alone looks at ground truth, and every table says so.
        """
        watched = learner.evaluate != "never"
        oracle = learner.select == "oracle"
        return Train(
            learner=learner,
            rows=self.part(part),
            labels=None if labels is None else labels.on(self.part(part)),
            loss=loss or Xent(),
            seed=self.seed if seed is None else seed,
            val=self.part("val") if watched else None,
            val_labels=labels.on(self.part("val")) if watched and labels is not None and not oracle else None,
        )

    def supervisors(self, count: int = 1) -> list[Train]:
        """Weak models trained on the weak half's truth, differing by seed."""
        return [self.train(self.weak, "weak", seed=self.seed + MEMBER_STRIDE * i) for i in range(count)]

    def predict(self, model: Train, part: PartName) -> Predict:
        """A model's probabilities on a part's rows."""
        return Predict(model, self.part(part))

    def combine(self, labels: Sequence[Labels], how: HowCombined = "mean_prob") -> Labels:
        """One verdict from several; a single labeller is its own verdict."""
        return labels[0] if len(labels) == 1 else Combine(tuple(labels), how)

    def grade(self, labels: Labels, supervisor: Labels | None = None) -> Grade:
        """Labels against the truth of the test rows, and agreement with the supervisor's there."""
        test = self.part("test")
        return Grade(labels.on(test), test, None if supervisor is None else supervisor.on(test))

    def outcome(self, verdict: Labels, student: Train, extras: dict[str, Stage] | None = None) -> Outcome:
        """Floor from the verdict the student learned from, ceiling from the strong model on the same half's truth."""
        ceiling = self.train(self.strong, "strong")
        return Outcome(
            floor=self.grade(verdict),
            transfer=self.grade(self.predict(student, "test"), supervisor=verdict),
            ceiling=self.grade(self.predict(ceiling, "test"), supervisor=verdict),
            extras=extras or {},
        )
