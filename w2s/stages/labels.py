"""Stages that label: models asked, verdicts combined, labels mended, left out, or made wrong on purpose."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from w2s.learner import Layer, ModelRef
from w2s.prompt import Calibrate, Prompt
from w2s.stages.base import Stage
from w2s.stages.models import Embed, Model, Probe
from w2s.stages.parts import Part


@dataclass(frozen=True)
class Labels(Stage):
    """A stage that yields class probabilities by example id (labels.parquet), and maybe a weight for each row."""

    @property
    def origin(self) -> str:
        """Whose labels these are, in a word or two."""
        return self.words

    @property
    def oracle(self) -> bool:
        """Whether ground truth that no student has decides on labels: every table it touches says so."""
        return False

    def on(self, part: Part) -> Labels:
        """The same labeller, asked about other rows."""
        raise TypeError(f"{self.kind} cannot label other rows")


@dataclass(frozen=True)
class Predict(Labels):
    """A trained model's class probabilities on some rows.

    A `draw` asks with the model's own dropout on, as training would have it; another number draws other units.
    """

    LATER: ClassVar[tuple[str, ...]] = ("draw",)

    model: Model
    rows: Part
    draw: int | None = None

    def inputs(self) -> tuple[Stage, ...]:
        """A head reads the hidden states it was trained on, at other rows."""
        own = super().inputs()
        return (*own, self.model.features) if isinstance(self.model, Probe) else own

    @property
    def words(self) -> str:
        drawn = "" if self.draw is None else f", dropout {self.draw}"
        return f"predict {self.rows.words} by {self.model.words.partition(' ')[2]}{drawn}"

    @property
    def origin(self) -> str:
        return self.model.learner.model.short

    def on(self, part: Part) -> Predict:
        return dataclasses.replace(self, rows=part)


@dataclass(frozen=True)
class Given(Labels):
    """Class probabilities that came with the task's rows (a column of task `features`): a supervisor nobody trains here."""

    column: str
    rows: Part

    @property
    def words(self) -> str:
        return f"given {self.column} of {self.rows.words}"

    @property
    def origin(self) -> str:
        return self.column

    def on(self, part: Part) -> Given:
        return dataclasses.replace(self, rows=part)


@dataclass(frozen=True)
class Prompted(Labels):
    """A language model's class probabilities by prompting, without training: no shots, or some of `drawn_from`.

    Shots carry the truth, or `shot_labels`. `calibrate: prior` makes the mean probability over rows of `drawn_from` that of
    `prior` there (None: equal). `drawn_from` is None where nothing is drawn.
    """

    model: ModelRef
    rows: Part
    prompt: Prompt
    shots: int
    calibrate: Calibrate
    max_tokens: int
    precision: str
    drawn_from: Part | None = None
    shot_labels: Labels | None = None
    prior: Labels | None = None

    @property
    def words(self) -> str:
        shown = "" if not self.shots else f", {'true' if self.shot_labels is None else self.shot_labels.origin} labels"
        return f"prompt {self.model.short} about {self.rows.words} ({self.shots}-shot{shown}, {self.calibrate})"

    @property
    def origin(self) -> str:
        return f"prompted {self.model.short}"

    def on(self, part: Part) -> Prompted:
        return dataclasses.replace(self, rows=part)


HowCombined = Literal["mean_prob", "mean_logit", "majority", "entropy"]


@dataclass(frozen=True)
class Combine(Labels):
    """Several labellers' verdicts on the same rows made one."""

    labels: tuple[Labels, ...]
    how: HowCombined = "mean_prob"

    @property
    def words(self) -> str:
        return f"combine {self.how} of {len(self.labels)}: {self.labels[0].words}"

    @property
    def origin(self) -> str:
        first = self.labels[0].origin
        return f"hard {first}" if len(self.labels) == 1 else f"{len(self.labels)}x {first}"

    def on(self, part: Part) -> Combine:
        return dataclasses.replace(self, labels=tuple(labels.on(part) for labels in self.labels))


HowRelabelled = Literal["knn", "logistic"]


@dataclass(frozen=True)
class Relabel(Labels):
    """What similar rows' labels say of each row, similar in a frozen model's hidden states; never with a say for its own.

    `labels` are those of the rows of `reference`; any rows may be asked about. knn: the mean label of so many nearest
    `neighbours`. logistic: a linear probe's prediction, with `l2` times its squared weights.
    """

    labels: Labels
    reference: Part
    rows: Part
    how: HowRelabelled
    features: Embed
    layer: Layer
    neighbours: int | None = None
    l2: float | None = None

    @property
    def words(self) -> str:
        return f"relabel {self.rows.words} by {self.how}: {self.labels.origin} labels"

    @property
    def origin(self) -> str:
        return f"{self.how}-relabelled {self.labels.origin}"

    def on(self, part: Part) -> Relabel:
        return dataclasses.replace(self, rows=part)


@dataclass(frozen=True)
class Chosen(Labels):
    """The labels of a half with weight 0 for those that are trusted least. Rows that nobody learns from are all kept."""

    labels: Labels
    rows: Part

    @property
    def words(self) -> str:
        return f"{self.kind.lower()} {self.rows.words}: {self.labels.origin} labels"

    @property
    def origin(self) -> str:
        return f"filtered {self.labels.origin}"

    def on(self, part: Part) -> Labels:
        """On held-out and test rows, the labels themselves: what is trusted is asked of rows to learn from alone."""
        labels = self.labels.on(part)
        return labels if part.name in ("val", "test") else dataclasses.replace(self, labels=labels, rows=part)


HowFiltered = Literal["confidence", "threshold", "disagreement"]


@dataclass(frozen=True)
class Filter(Chosen):
    """Labels chosen one by one.

    confidence: of each hard class the share `keep` of greatest probability; threshold: all whose greatest probability is
    above `keep`; disagreement: the share `keep` that is nearest to a second `opinion` of the same rows.
    """

    how: HowFiltered
    keep: float
    opinion: Labels | None = None

    def on(self, part: Part) -> Labels:
        found = super().on(part)
        if isinstance(found, Filter) and self.opinion is not None:
            return dataclasses.replace(found, opinion=self.opinion.on(part))
        return found


@dataclass(frozen=True)
class TopoFilter(Chosen):
    """Labels chosen by where their rows lie among others (TopoFilter, Wu et al. 2020): of each hard class the largest
    component of the graph of nearest neighbours, less the labels farthest from their neighbours', down to the share `keep`."""

    keep: float
    features: Embed
    layer: Layer
    neighbours: int


Structure = Literal["random", "longest", "shortest", "unconfident", "confident"]


@dataclass(frozen=True)
class Corrupt(Labels):
    """A control: the truth, made wrong on as many rows as `like` has wrong there (Burns et al. 2023, appendix E.2).

    Which rows is the `structure`'s choice: any; those of the longest or shortest texts; those where a strong model that
    learned from truth (`sure`) is least confident, or is right and most confident.
    """

    rows: Part
    like: Labels
    structure: Structure
    seed: int
    sure: Labels | None = None

    @property
    def words(self) -> str:
        return f"corrupt {self.rows.words} ({self.structure}) as often as {self.like.origin}"

    @property
    def origin(self) -> str:
        return f"corrupted ({self.structure})"

    def on(self, part: Part) -> Corrupt:
        sure = None if self.sure is None else self.sure.on(part)
        return dataclasses.replace(self, rows=part, like=self.like.on(part), sure=sure)
