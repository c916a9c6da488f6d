"""The words a method is written in. A world is one seed's view of a recipe: its task, its two learners, its halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from cluster.errors import BadInput
from w2s.examples import Side
from w2s.explain import Explain
from w2s.learner import Layer, Learner
from w2s.loss import LossConfig
from w2s.losses.xent import Config as Xent
from w2s.prompt import Calibrate, Prompt
from w2s.stages import (
    Adapt,
    Calibrated,
    Combine,
    Corrupt,
    Embed,
    Filter,
    Generate,
    Given,
    Grade,
    GradeAnswers,
    HowCombined,
    HowFiltered,
    HowRelabelled,
    Labels,
    Leg,
    Model,
    Outcome,
    Part,
    PartName,
    Piece,
    Predict,
    Probe,
    Prompted,
    Relabel,
    Rows,
    Sample,
    Split,
    Stage,
    Structure,
    TopoFilter,
    Train,
    Truth,
    Write,
    knows_truth,
)
from w2s.stages.parts import SIDES
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

    def part(self, name: PartName, piece: Piece | None = None, *, side: Side = "shift") -> Part:
        """The weak or strong half (or a piece of one), the held-out rows, or the test rows (which no seed moves).

        `side`: where the task has sides, whose held-out rows: a student's (shift), or a supervisor's (source).
        """
        rows = Rows(self.task)
        if name == "test":
            return Part(rows, "test")
        return Part(rows, name, self.split, self.seed, piece, SIDES.get(name, side) if self.task.sided else None)

    def held_out(self, half: Part) -> Part:
        """The held-out rows of whoever learns from a half: those of its side, where the task has sides."""
        return self.part("val", side=half.side or "shift")

    def embed(self, learner: Learner) -> Embed:
        """The hidden states a probing learner reads, of all the task's rows: one pass for all seeds and halves."""
        assert learner.probe is not None, "only a probe reads hidden states"
        return Embed(
            learner.model, Rows(self.task), learner.probe.kept, learner.pooling, learner.max_tokens, learner.precision
        )

    def states(self, learner: Learner, layer: Layer) -> Embed:
        """One layer of a learner's model as it was before it learned anything; a probe's own pass, where that keeps it."""
        if learner.probe is not None and layer in learner.probe.kept:
            return self.embed(learner)
        return Embed(learner.model, Rows(self.task), (layer,), learner.pooling, learner.max_tokens, learner.precision)

    def train(
        self,
        learner: Learner,
        part: PartName | Part,
        *,
        labels: Labels | None = None,
        loss: LossConfig | None = None,
        seed: int | None = None,
        start: Adapt | None = None,
        leg: Leg | None = None,
        before: Train | None = None,
        order: int | None = None,
        explain: Explain | None = None,
    ) -> Model:
        """Finetune `learner` (or fit its probe) on a half: on ground truth, or on `labels`.

        Held-out rows carry labels of the same origin, so selection never sees a truth the student would not have;
        `select: oracle` alone looks at ground truth, and every table says so. `start`: from an adapted model. `leg`: only this
        one of several (see `legs`), `before` being the one before it. `order`: the seed of the rows' order alone. `explain`: what the
        rows' rationales add to the loss. Where the task's answers are written, a learner learns to write them.
        """
        rows = part if isinstance(part, Part) else self.part(part)
        seed, loss = self.seed if seed is None else seed, loss or Xent()
        plain = start is None and leg is None and explain is None
        if self.task.writes and plain:  # what else there is is a classifier's, and refused by `w2s.written`
            return self._write(learner, rows, labels, loss, seed)
        if leg is not None:
            self._check_legs(learner)
        watched = learner.evaluate != "never" or leg is not None
        oracle = learner.select == "oracle"
        own = None if labels is None else labels.on(rows)
        val = self.held_out(rows) if watched else None
        from_truth = knows_truth(labels) and getattr(labels, "only", None) is None
        asks = watched and labels is not None and not oracle and not from_truth
        val_labels = labels.on(val) if asks and labels is not None and val is not None else None
        if learner.probe is None:
            made = Train(learner, rows, own, loss, seed, val, val_labels, start, leg, before, order, explain)
            _check_follows(made)
            return made
        if start is not None:
            raise BadInput(
                "strong.probe", "reads the pretrained model alone, not an adapted one", "finetune: drop probe"
            )
        if explain is not None:
            what = "learns from vectors of whole texts, in which no token can be changed"
            raise BadInput("strong.probe", what, "finetune the head alone: drop probe, set trainable_layers: 0")
        seed = seed if learner.head == "normal" else 0  # a head that starts from zero knows no other chance
        return Probe(learner, rows, own, loss, seed, val, val_labels, features=self.embed(learner))

    def _write(self, learner: Learner, rows: Part, labels: Labels | None, loss: LossConfig, seed: int) -> Write:
        """Finetune `learner` to write. A written label is certain, so soft and hard are one loss."""
        _check_writes(learner)
        loss = Xent() if isinstance(loss, Xent) else loss
        own = None if labels is None else labels.on(rows)
        return Write(learner, rows, own, loss, seed, max_new_tokens=self.task.max_new_tokens)

    def legs(
        self,
        learner: Learner,
        part: PartName | Part,
        *,
        losses: Sequence[LossConfig],
        count: int | None = None,
        labels: Labels | None = None,
        seed: int | None = None,
        start: Adapt | None = None,
    ) -> list[Train]:
        """A training run cut in `count` equal legs, the first `len(losses)` of them (all, where `count` is None), in order.

        Each is a stage that begins where the one before ended, evaluates at its end, and has a loss of its own. Runs whose
        losses begin alike share those legs. Raises BadInput for learners that have no legs: probes, and those that keep
        another step than the last (`select`, `patience`); ValueError for more losses than legs, or none.
        """
        count = len(losses) if count is None else count
        if not 1 <= len(losses) <= count:
            raise ValueError(f"{len(losses)} losses for {count} legs: give 1 to {count}")
        made: list[Train] = []
        for index, loss in enumerate(losses):
            leg, before = Leg(index, count), made[-1] if made else None
            found = self.train(learner, part, labels=labels, loss=loss, seed=seed, start=start, leg=leg, before=before)
            assert isinstance(found, Train), "a probe was refused"
            made.append(found)
        return made

    def _check_legs(self, learner: Learner) -> None:
        """Raise BadInput for what cannot be trained leg by leg."""
        if learner.probe is not None:
            raise BadInput("strong.probe", "is trained in one go, and has no legs", "finetune: drop probe")
        if learner.select != "last":
            what = f"{learner.select} may keep an earlier step, and the next leg goes on from the last"
            raise BadInput("strong.select", what, "set select: last")
        if learner.patience is not None:
            raise BadInput("strong.patience", "may end a run early, and a leg ends where it must", "drop patience")
        if self.split.val == 0:
            raise BadInput("split.val", "is 0, and every leg is evaluated at its end", "set val: 0.1")

    def adapt(self, learner: Learner, part: PartName | Part, *, epochs: float = 1, lr: float | None = None) -> Adapt:
        """The learner's language model after reading all texts of a part. What only a classifier has is left out of its key."""
        _check_writes(learner)
        if learner.trainable_layers == 0:
            raise BadInput(
                "trainable_layers", "0 leaves nothing that could be adapted", "set it to all, or use another method"
            )
        rows = part if isinstance(part, Part) else self.part(part)
        plain = {name: Learner.model_fields[name].get_default() for name in ("head", "head_words", "pooling")}
        unwatched = {"evaluate": "never", "select": "last", "patience": None, "epochs": epochs}
        optim = learner.optim.model_copy(update={"lr": lr or learner.optim.lr, "head_lr": None})
        return Adapt(learner.model_copy(update={**plain, **unwatched, "optim": optim}), rows, self.seed)

    def prompt(
        self,
        learner: Learner,
        part: PartName | Part,
        prompt: Prompt,
        *,
        shots: int = 0,
        calibrate: Calibrate = "none",
        shot_labels: Labels | None = None,
        prior: Labels | None = None,
        drawn_from: PartName = "strong",
    ) -> Prompted:
        """A language model asked in words. Shots, and rows to calibrate on, come from the strong half, or the one named."""
        _check_writes(learner)
        rows = part if isinstance(part, Part) else self.part(part)
        half = self.part(drawn_from)
        drawn = half if shots or calibrate == "prior" else None
        own = shot_labels.on(half) if shots and shot_labels is not None else None
        known = prior.on(half) if calibrate == "prior" and prior is not None else None
        reads = (learner.max_tokens, learner.precision)
        return Prompted(learner.model, rows, prompt, shots, calibrate, *reads, drawn, own, known)

    def supervisors(self, count: int = 1) -> list[Supervisor]:
        """Weak models trained on the weak half's truth, differing by seed; or the labels that came with the task.

        Heads that start from zero know no seed: several of them learn from bootstrap samples.
        """
        if self.weak.model.form == "given":
            return [Given(self.weak.model.column, self.part("strong"))]
        seeds = [self.seed + MEMBER_STRIDE * i for i in range(count)]
        if count == 1 or self.weak.probe is None or self.weak.head == "normal":
            return [self.train(self.weak, "weak", seed=seed) for seed in seeds]
        return [self.train(self.weak, "weak", labels=self.truth("weak", sample=Sample(seed))) for seed in seeds]

    def truth(
        self,
        part: PartName | Part,
        *,
        sample: Sample | None = None,
        only: tuple[int, ...] | None = None,
        left_out: Piece | None = None,
    ) -> Truth:
        """The truth of some of a part's rows, or of some more than of others."""
        return Truth(part if isinstance(part, Part) else self.part(part), sample, only, left_out)

    def predict(self, model: Supervisor, part: PartName | Part) -> Labels:
        """A model's probabilities on a part's rows, or what it writes there; labels that came with the task are asked for
        those rows."""
        rows = part if isinstance(part, Part) else self.part(part)
        if isinstance(model, Write):
            return Generate(model, rows, model.max_new_tokens)
        return model.on(rows) if isinstance(model, Labels) else Predict(model, rows)

    def combine(self, labels: Sequence[Labels], how: HowCombined = "mean_prob") -> Labels:
        """One verdict from several; a single labeller is its own verdict."""
        return labels[0] if len(labels) == 1 else Combine(tuple(labels), how)

    def calibrate(self, labels: Labels) -> Labels:
        """Labels as sure as they are right on held-out rows, whose truth the supervisor's teacher knew."""
        if self.split.val == 0:
            raise BadInput("split.val", "is 0, and calibration needs held-out rows", "set val: 0.1")
        # where the task shifts, a supervisor's teacher knows the truth of the source alone
        val = self.part("val", side="source")
        return Calibrated(labels, labels.on(val), val)

    def harden(self, labels: Labels) -> Labels:
        """Each row's most probable class as certain: the vote of a crowd of one. What is written is certain already."""
        if self.task.writes:
            return labels
        return Combine((labels,), "majority")

    def relabel(
        self,
        labels: Labels,
        how: HowRelabelled,
        *,
        layer: Layer,
        neighbours: int | None = None,
        l2: float | None = None,
    ) -> Relabel:
        """What the labels of similar rows of the strong half say, similar to the strong model."""
        half = self.part("strong")
        return Relabel(labels.on(half), half, half, how, self.states(self.strong, layer), layer, neighbours, l2)

    def filter(self, labels: Labels, how: HowFiltered, keep: float, opinion: Labels | None = None) -> Filter:
        """The strong half's labels without those trusted least."""
        half = self.part("strong")
        return Filter(labels.on(half), half, how, keep, None if opinion is None else opinion.on(half))

    def topofilter(self, labels: Labels, keep: float, *, layer: Layer, neighbours: int) -> TopoFilter:
        """The same, by where rows lie in the strong model's hidden states."""
        half = self.part("strong")
        return TopoFilter(labels.on(half), half, keep, self.states(self.strong, layer), layer, neighbours)

    def corrupt(self, like: Labels, structure: Structure, sure: Labels | None = None) -> Corrupt:
        """The strong half's truth with as many errors as `like` makes."""
        half = self.part("strong")
        return Corrupt(half, like.on(half), structure, self.seed, None if sure is None else sure.on(half))

    def grade(self, labels: Labels, supervisor: Labels | None = None) -> Grade:
        """Labels against the truth of the test rows, and agreement with the supervisor's there."""
        test = self.part("test")
        kind = GradeAnswers if self.task.writes else Grade
        return kind(labels.on(test), test, None if supervisor is None else supervisor.on(test))

    def outcome(
        self,
        verdict: Labels,
        student: Supervisor,
        extras: dict[str, Stage] | None = None,
        ceiling: Model | None = None,
    ) -> Outcome:
        """Floor from the verdict the student learned from, ceiling from the strong model on the same half's truth.

        A `ceiling` is given where the student did not begin as the strong model does.
        """
        ceiling = ceiling or self.train(self.strong, "strong")
        return Outcome(
            floor=self.grade(verdict),
            transfer=self.grade(self.predict(student, "test"), supervisor=verdict),
            ceiling=self.grade(self.predict(ceiling, "test"), supervisor=verdict),
            extras=extras or {},
        )


def _check_follows(made: Train) -> None:
    """Raise ValueError where `before` is not the leg before, of a run that differs in its loss alone."""
    leg, before = made.leg, made.before
    if leg is None or leg.index == 0:
        if before is not None:
            raise ValueError("only a leg after the first has one before it")
        return
    same = before is not None and replace(made, loss=before.loss, leg=before.leg, before=before.before) == before
    if before is None or not same or before.leg != Leg(leg.index - 1, leg.count):
        raise ValueError(f"{leg.words} does not go on from {'nothing' if before is None else before.words}")


def _check_writes(learner: Learner) -> None:
    """Raise BadInput for what is no language model, as far as its name tells."""
    if learner.model.form in ("static", "features", "given"):
        what = f"{learner.model.short} is no language model"
        raise BadInput("strong.model", what, "take a causal one (GPT-2, Pythia, Llama, Qwen)")
