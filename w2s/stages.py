"""The stages: frozen values whose inputs are their fields. Equal work has an equal key, whoever asks for it.

Rows, Train, Predict, Combine and Grade carry most methods. Embed and Probe stand in for Train where a frozen model's hidden
states are computed once and only a head is trained on them. Nothing in this file imports torch or ray.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from cluster.key import content_key
from w2s.config import Config, identity
from w2s.examples import hash_unit
from w2s.learner import Layer, Learner, ModelRef
from w2s.loss import LossConfig
from w2s.prompt import Calibrate, Prompt
from w2s.task import TaskConfig

PartName = Literal["weak", "strong", "val", "test"]


@dataclass(frozen=True)
class Stage:
    """One piece of work. Its key is a Merkle hash of kind, VERSION and fields; raise VERSION when the work changes."""

    VERSION: ClassVar[int] = 1
    LATER: ClassVar[tuple[str, ...]] = ()
    """Fields that came after others had keys: left out of the key where they are None."""

    @property
    def kind(self) -> str:
        return type(self).__name__

    @cached_property
    def key(self) -> str:
        """sha256 over kind, VERSION, fields, and the keys of input stages."""
        return content_key(self.science(by_content=True))

    @property
    def words(self) -> str:
        """What is done, for people. Not unique; keys are."""
        raise NotImplementedError(f"{self.kind} has no words")

    def inputs(self) -> tuple[Stage, ...]:
        """The stages this one reads, each once, in field order."""
        found: dict[str, Stage] = {}
        for item in dataclasses.fields(self):
            for stage in _stages_in(getattr(self, item.name)):
                found.setdefault(stage.key, stage)
        return tuple(found.values())

    def science(self, *, by_content: bool = False) -> dict[str, Any]:
        """The stage as JSON, inputs as {"key": ...}. `by_content` gives the keyed form (digests for local paths)."""
        fields = {
            item.name: _json(getattr(self, item.name), by_content)
            for item in dataclasses.fields(self)
            if not (item.name in self.LATER and getattr(self, item.name) is None)
        }
        return {"kind": self.kind, "version": self.VERSION, **fields}


@dataclass(frozen=True)
class Rows(Stage):
    """A task's examples as one table: id, group, texts, label, split (train or test)."""

    task: TaskConfig

    @property
    def words(self) -> str:
        return "rows"


class Split(Config):
    """How the training rows are divided, by hash of (seed, group): no neighbour changes a row's part."""

    val: float = Field(0.1, ge=0, lt=1, description="share of training groups held out for curves and selection")
    weak: float = Field(0.5, gt=0, lt=1, description="the weak half's share of the rest")

    def part_of(self, seed: int, group: str) -> PartName:
        """The part a training group falls into: `val` first, then the two halves."""
        draw = hash_unit("split", seed, group)
        if draw < self.val:
            return "val"
        return "weak" if (draw - self.val) / (1 - self.val) < self.weak else "strong"


@dataclass(frozen=True)
class Piece:
    """The `index`-th of `count` equal shares of a part, by hash of group: fresh rows for every rung of a ladder."""

    index: int
    count: int

    def holds(self, seed: int, group: str) -> bool:
        return int(hash_unit("piece", seed, group) * self.count) == self.index


@dataclass(frozen=True)
class Part:
    """Some of a task's rows. A value, not a stage: readers pick the rows out of the table. `test` knows no seed."""

    rows: Rows
    name: PartName
    split: Split | None = None
    seed: int | None = None
    piece: Piece | None = None

    @property
    def words(self) -> str:
        return self.name if self.piece is None else f"{self.name} {self.piece.index + 1}/{self.piece.count}"

    def json(self, by_content: bool) -> dict[str, Any]:
        """The part as it enters a stage's science; `piece` came later, and is left out where there is none."""
        found = {item.name: _json(getattr(self, item.name), by_content) for item in dataclasses.fields(self)}
        if self.piece is None:
            del found["piece"]
        return found


@dataclass(frozen=True)
class Embed(Stage):
    """A frozen model's hidden states of all of a task's rows, one vector a text for each of some layers, in one pass.

    `layers` count from 0 (the embeddings) to the model's depth; negative ones from the end; `middle` is half the depth.
    """

    model: ModelRef
    rows: Rows
    layers: tuple[Layer, ...]
    pooling: str
    max_tokens: int
    precision: str

    @property
    def words(self) -> str:
        return f"embed by {self.model.short}, layer {', '.join(map(str, self.layers))}"


@dataclass(frozen=True)
class Model(Stage):
    """A learner taught by a part's rows. `labels` None means ground truth. `val` is held out for curves and selection."""

    learner: Learner
    rows: Part
    labels: Labels | None
    loss: LossConfig
    seed: int
    val: Part | None = None
    val_labels: Labels | None = None

    @property
    def words(self) -> str:
        learned = "truth" if self.labels is None else f"{self.labels.origin} labels"
        drawn = self.rows.seed if isinstance(self, Probe) else self.seed  # a probe's halves are all that a seed decides
        what = f"{self.learner.model.short} on {self.rows.words} ({learned}, {self.loss.kind}) s{drawn}"
        return f"{self.kind.lower()} {what}"


@dataclass(frozen=True)
class Adapt(Stage):
    """Plain next-token finetuning of a learner's language model on all texts of a part, whatever their labels.

    Burns et al. 2023, section 5.2.2: what a model knows should be easier to ask for where it has read texts of the kind.
    """

    learner: Learner
    rows: Part
    seed: int

    @property
    def words(self) -> str:
        return f"adapt {self.learner.model.short} to {self.rows.words} s{self.seed}"


@dataclass(frozen=True)
class Train(Model):
    """Finetune a learner's model, as it was pretrained or from where an Adapt stage left it."""

    LATER: ClassVar[tuple[str, ...]] = ("start",)

    start: Adapt | None = None

    @property
    def words(self) -> str:
        return super().words if self.start is None else f"{super().words}, adapted"


@dataclass(frozen=True)
class Probe(Model):
    """Fit a linear head on hidden states that an Embed stage holds."""

    features: Embed = field(kw_only=True)


@dataclass(frozen=True)
class Labels(Stage):
    """A stage that yields class probabilities by example id (labels.parquet), and maybe a weight for each row."""

    @property
    def origin(self) -> str:
        """Whose labels these are, in a word or two."""
        return self.words

    def on(self, part: Part) -> Labels:
        """The same labeller, asked about other rows."""
        raise TypeError(f"{self.kind} cannot label other rows")


@dataclass(frozen=True)
class Predict(Labels):
    """A trained model's class probabilities on some rows."""

    model: Model
    rows: Part

    def inputs(self) -> tuple[Stage, ...]:
        """A head reads the hidden states it was trained on, at other rows."""
        own = super().inputs()
        return (*own, self.model.features) if isinstance(self.model, Probe) else own

    @property
    def words(self) -> str:
        return f"predict {self.rows.words} by {self.model.words.partition(' ')[2]}"

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


HowCombined = Literal["mean_prob", "mean_logit", "majority"]


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


@dataclass(frozen=True)
class Grade(Stage):
    """Labels held against ground truth, and against the supervisor's labels where there is one."""

    labels: Labels
    rows: Part
    supervisor: Labels | None = None

    @property
    def words(self) -> str:
        return f"grade {self.labels.words}"


@dataclass(frozen=True)
class Outcome:
    """What a method promises: three grades on the test rows, and whatever else it wants kept, by name."""

    floor: Grade
    transfer: Grade
    ceiling: Grade
    extras: dict[str, Stage] = field(default_factory=dict)

    def stages(self) -> tuple[Stage, ...]:
        return (self.floor, self.transfer, self.ceiling, *self.extras.values())


def reached(*roots: Stage) -> list[Stage]:
    """Every stage object below the roots (equal ones may repeat), without computing a key."""
    found: dict[int, Stage] = {}
    ahead = list(roots)
    while ahead:
        stage = ahead.pop()
        if id(stage) not in found:
            found[id(stage)] = stage
            ahead.extend(below for item in dataclasses.fields(stage) for below in _stages_in(getattr(stage, item.name)))
    return list(found.values())


def walk(*roots: Stage) -> dict[str, Stage]:
    """Every stage below the roots by key, inputs before those who need them."""
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.key in found:
            return
        for needed in stage.inputs():
            visit(needed)
        found[stage.key] = stage

    for root in roots:
        visit(root)
    return found


def _stages_in(value: Any) -> Iterator[Stage]:
    if isinstance(value, Stage):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _stages_in(item)
    elif isinstance(value, Part):
        yield value.rows


def _json(value: Any, by_content: bool) -> Any:
    if isinstance(value, Stage):
        return {"key": value.key}
    if isinstance(value, Part):
        return value.json(by_content)
    if isinstance(value, Piece):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_json(item, by_content) for item in value]
    if isinstance(value, Config):
        return identity(value) if by_content else value.dump()
    return value
