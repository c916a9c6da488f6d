"""Selective-style supervision: the strong model's own labels where it knows, smoothed weak labels elsewhere (Lang et al. 2025).

A classifier P(IK) on the strong model's hidden states tells which rows it would label rightly by itself; those take its own label
as target, all others the weak one, smoothed over the graph of near rows. The abstract is all that is public: how own labels are
made, what P(IK) reads, the threshold and the smoothing are our choices, and each can be changed here. So it is no reproduction.

Truth is used where the supervisor's teacher has it: on the weak half (examples of a prompt, P(IK)) and on held-out rows (its scale,
and the threshold tau). None of the strong half or the test rows, but by `gate: oracle`, a bound.

`self_labels: prompted` asks the strong model as it was pretrained. `trained` is another and stronger thing, "strong on half 1": it
finetunes it (or fits its probe) on the weak half's truth; what P(IK) learns from it is then cross-fitted. `auto` takes prompted for
whatever may be a language model by its name: for an encoder (BERT, MiniLM) say trained. Ablations: `gate: off | all | random |
confidence`, `smooth: 0`. Where nothing passes and `smooth` is 0 the student is naive's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from w2s.learner import Layer, Learner
from w2s.losses.xent import Config as Xent
from w2s.method import AnyLoss, MethodConfig, supervision
from w2s.prompt import Calibrate, Prompt
from w2s.stages import Gate, Grade, Joined, Knows, Labels, Outcome, Piece, Rule, Smooth
from w2s.world import World

SMOOTHING = ("neighbours", "steps", "standardise")
THRESHOLD = ("tau", "rule", "least", "l2")
PROMPTING = ("shots", "calibrate", "prompt")


class Config(MethodConfig):
    kind: Literal["selective"] = "selective"
    self_labels: Literal["auto", "prompted", "trained"] = Field(
        "auto",
        description="the strong model's own: by prompting, or trained on the weak half's truth; auto: prompted if it can be",
    )
    targets: Literal["hard", "soft"] = Field("hard", description="what own labels become where they are taken")
    gate: Literal["off", "knows", "confidence", "random", "oracle", "all"] = Field(
        "knows",
        description="which rows take own labels: off none, all; confidence, random: as many as knows; oracle: a bound",
    )
    tau: float | None = Field(
        None, ge=0, description="least P(IK) to take the own label; null: by held-out rows; above 1: none is taken"
    )
    rule: Rule = Field(
        "smallest",
        description="of the taus above which own labels beat weak ones on held-out rows; most: that of most right targets",
    )
    least: int = Field(50, ge=2, description="fewest held-out rows that may choose tau; with fewer it is 0.7")
    layer: Layer = Field("middle", description="of the strong model: what P(IK) reads and where neighbours are sought")
    l2: float | None = Field(None, ge=0, description="of P(IK)'s squared weights; null: by 5-fold cross-validation")
    folds: int = Field(5, ge=2, le=50, description="trained: cross-fitted models whose labels P(IK) learns from")
    smooth: float = Field(0.5, ge=0, lt=1, description="how far a weak label moves towards its neighbours'; 0: not")
    neighbours: int = Field(10, ge=1, description="of the graph, by cosine")
    steps: int = Field(20, ge=1, le=10_000, description="most rounds of smoothing")
    standardise: bool = Field(False, description="centre and scale features before the cosine is taken")
    clamp: bool = Field(False, description="own labels that are taken stand firm in the graph, and spread as well")
    shots: int = Field(5, ge=0, le=64, description="prompted: rows of the weak half shown with their truth")
    calibrate: Calibrate = Field(
        "content_free",
        description="prompted: content_free: by what it says of nothing; prior: to the weak half's class shares; or none",
    )
    prompt: Prompt = Prompt()
    loss: AnyLoss = Field(Xent(), description="what the student minimises")

    @field_validator("gate", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # which is how YAML reads a bare off

    @model_validator(mode="after")
    def _all_act(self) -> Config:
        idle: dict[str, tuple[str, ...]] = {}
        if self.smooth == 0:
            idle["smooth: 0"] = (*SMOOTHING, "clamp")
        if self.gate == "off":
            idle["gate: off"] = (*THRESHOLD, *PROMPTING, "self_labels", "targets", "folds", "clamp")
        if self.gate in ("all", "oracle"):
            idle[f"gate: {self.gate}"] = THRESHOLD
        if self.tau is not None:
            idle["a tau that is given"] = ("rule", "least")
        if self.self_labels != "auto":
            idle[f"self_labels: {self.self_labels}"] = PROMPTING if self.self_labels == "trained" else ("folds",)
        for why, names in idle.items():
            odd = [name for name in names if getattr(self, name) != type(self).model_fields[name].get_default()]
            if odd:
                raise ValueError(f"{why} has no use for {', '.join(odd)}")
        return self


@dataclass(frozen=True)
class Own:
    """The strong model's own labels: of any rows but the weak half's (`labels`), and of those, which it is judged by (`judged`)."""

    labels: Labels
    judged: Labels
    name: str


def plan(world: World, config: Config) -> Outcome:
    """As naive, on labels that are the strong model's own where it knows. The floor is the supervisor's."""
    verdict = supervision(world, config)
    extras: dict[str, Grade] = {}
    if config.gate == "off":
        targets = smoothed(world, config, verdict)
    else:
        own = own_labels(world, config)
        extras[own.name] = world.grade(own.labels, supervisor=verdict)
        targets = gated(world, config, verdict, own)
    student = world.train(world.strong, "strong", labels=targets, loss=config.loss)
    return world.outcome(verdict, student, extras=dict(extras))


def gated(world: World, config: Config, verdict: Labels, own: Own) -> Labels:
    """What the student learns: own labels through the gate, smoothed weak ones elsewhere."""
    if config.clamp:
        return smoothed(world, config, gate(world, config, verdict, verdict, own), clamp=True)
    return gate(world, config, smoothed(world, config, verdict), verdict, own)


def gate(world: World, config: Config, labels: Labels, verdict: Labels, own: Own) -> Gate:
    """Own labels or `labels`; the threshold holds own labels against the supervisor's as they are, on held-out rows."""
    assert config.gate != "off", "then there is no gate"
    half, val = world.part("strong"), world.part("val", side="source") if world.split.val else None
    if config.gate in ("all", "oracle"):
        return Gate(labels, own.labels, half, config.gate, config.targets == "hard", 0)
    chooses = val if config.tau is None else None
    return Gate(
        labels,
        own.labels,
        half,
        config.gate,
        config.targets == "hard",
        world.seed if config.gate == "random" else 0,
        knows=knows(world, config, own),
        tau=config.tau,
        rule=config.rule if config.tau is None else None,
        least=config.least if config.tau is None else None,
        val=chooses,
        val_labels=None if chooses is None else verdict.on(chooses),
        val_selves=None if chooses is None else own.labels.on(chooses),
    )


def knows(world: World, config: Config, own: Own) -> Knows:
    """P(IK), of rows the strong model has not learned from."""
    val = world.part("val", side="source") if world.split.val else None
    states = world.states(world.strong, config.layer)
    on_val = None if val is None else own.labels.on(val)
    return Knows(own.judged, world.part("weak"), states, config.layer, config.l2, val, on_val)


def smoothed(world: World, config: Config, labels: Labels, *, clamp: bool = False) -> Labels:
    """The labels, near to those of near rows."""
    if config.smooth == 0:
        return labels
    states, half = world.states(world.strong, config.layer), world.part("strong")
    how = (config.neighbours, config.smooth, config.steps, clamp, config.standardise)
    return Smooth(labels.on(half), half, states, config.layer, *how)


def own_labels(world: World, config: Config) -> Own:
    """By prompting, with examples of the weak half; or trained there."""
    half = world.part("weak")
    if _way(world.strong, config) == "prompted":
        asked = world.prompt(
            world.strong,
            "strong",
            config.prompt,
            shots=config.shots,
            calibrate=config.calibrate,
            prior=world.truth("weak"),
            drawn_from="weak",
        )
        return Own(asked, asked.on(half), "own labels")
    own = world.predict(world.train(world.strong, "weak"), "strong")
    pieces = [Piece(i, config.folds) for i in range(config.folds)]
    # a model's labels of rows it learned from would tell P(IK) that it knows everything
    judges = [world.train(world.strong, "weak", labels=world.truth("weak", left_out=piece)) for piece in pieces]
    judged = [world.predict(judge, world.part("weak", piece)) for judge, piece in zip(judges, pieces, strict=True)]
    return Own(own, Joined(tuple(judged), half), "strong on half 1")


def _way(strong: Learner, config: Config) -> str:
    """How own labels are made. As far as a name tells, vectors and BERT cannot be asked."""
    if config.self_labels != "auto":
        return config.self_labels
    told = strong.model.form in ("static", "features") or strong.model.source == "tiny:bert"
    return "trained" if told else "prompted"
