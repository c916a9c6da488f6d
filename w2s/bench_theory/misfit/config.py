"""The settings of the misfit bench, and its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from w2s.bench_theory.simulation import Simulation
from w2s.config import Config


class Squared(Config):
    """Squared loss on one fixed set of inputs, where expectations are exact means and theory has no sampling error."""

    n: int = Field(400, ge=2, description="inputs")
    width: int = Field(20, ge=1, description="features of the student")
    tasks: int = Field(40, ge=1)
    weak_error: float = Field(0.5, gt=0, description="standard deviation of the weak function around the truth")


class Entropy(Config):
    """Binary classification with known probabilities, on one fixed set of inputs."""

    n: int = Field(1000, ge=2, description="inputs")
    width: int = Field(8, ge=1, description="features, and heads of the mixture")
    tasks: int = Field(20, ge=1)
    n_weak: int = Field(300, ge=2, description="sampled labels the weak model is fitted to")
    weak_features: int = Field(3, ge=1, description="random nonlinear features the weak model sees")


Setting: TypeAlias = Literal["realizable", "pretrained", "perturbed"]


class Regression(Config):
    """The synthetic regression: h* and representations are ReLU MLPs in -> out of equal hidden width, heads are linear.

    realizable: the student's representation is h* itself, the weak one is pretrained. pretrained: both are pretrained, on tasks of
    which both are shown inputs and targets. perturbed: both are h* with Gaussian noise in every weight, relative to its layer's
    standard deviation.
    """

    inputs: int = Field(8, ge=1)
    outputs: int = Field(16, ge=1, description="width of representations")
    hidden: int = Field(16, ge=1, description="hidden width of h* and of the student")
    weak_hidden: int = Field(4, ge=1, description="hidden width of the weak MLP")
    truth_layers: int = Field(5, ge=1)
    strong_layers: int = Field(8, ge=1)
    weak_layers: int = Field(2, ge=1)
    pretrain_tasks: int = Field(10, ge=1)
    n_pretrain: int = Field(1000, ge=2, description="inputs of each pretraining task")
    pretrain_steps: int = Field(1000, ge=1, description="Adam steps, the step size falling to 0 along a cosine")
    pretrain_batch: int = Field(50, ge=1, description="inputs of every task in a step")
    pretrain_lr: float = Field(5e-3, gt=0)
    tasks: int = Field(40, ge=2, description="finetuning tasks: random linear heads on h*")
    n: int = Field(1000, ge=2, description="inputs of each half, weak and strong, of a finetuning task")
    n_test: int = Field(2000, ge=2)
    strong_noise: float = Field(0.05, ge=0)
    weak_noise: float = Field(0.2, ge=0)


@dataclass(frozen=True)
class SquaredMisfit(Simulation):
    """Projections."""

    TARGET: ClassVar[str] = "w2s.bench_theory.misfit.work:squared"

    settings: Squared

    @property
    def words(self) -> str:
        return f"misfit squared loss, {self.settings.tasks} tasks s{self.seed}"


@dataclass(frozen=True)
class EntropyMisfit(Simulation):
    """Students by reverse and forward KL."""

    TARGET: ClassVar[str] = "w2s.bench_theory.misfit.work:entropy"

    settings: Entropy

    @property
    def words(self) -> str:
        return f"misfit reverse KL, {self.settings.tasks} tasks s{self.seed}"


@dataclass(frozen=True)
class RegressionMisfit(Simulation):
    """The synthetic regression in one of its settings."""

    TARGET: ClassVar[str] = "w2s.bench_theory.misfit.work:regression"

    settings: Regression
    setting: Setting

    @property
    def words(self) -> str:
        return f"misfit regression {self.setting}, {self.settings.tasks} tasks s{self.seed}"


class Sweep(Config):
    """With --sweep: how gain and misfit move with how far the weak representation is from h*, and the student's."""

    weak_noise: tuple[float, ...] = Field((0.05, 0.1, 0.2, 0.4, 0.8), min_length=1)
    strong_noise: tuple[float, ...] = Field((0.0, 0.05, 0.1, 0.2, 0.4), min_length=1)


class Bench(Config):
    """What `w2s theory misfit` looks at."""

    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    squared: Squared = Squared()
    entropy: Entropy = Entropy()
    regression: Regression = Regression()
    sweep: Sweep | None = None

    SETTINGS: ClassVar[tuple[Setting, ...]] = ("realizable", "pretrained", "perturbed")

    def cell(self, seed: int, strong_noise: float, weak_noise: float) -> RegressionMisfit:
        """One simulation of the sweep."""
        noisy = {"strong_noise": strong_noise, "weak_noise": weak_noise}
        return RegressionMisfit(seed, self.regression.model_copy(update=noisy), "perturbed")

    def stages(self) -> list[Simulation]:
        """Every simulation, the long ones first."""
        found: list[Simulation] = [
            RegressionMisfit(seed, self.regression, setting)
            for setting in ("pretrained", "realizable")
            for seed in self.seeds
        ]
        for seed in self.seeds:
            found += [
                RegressionMisfit(seed, self.regression, "perturbed"),
                EntropyMisfit(seed, self.entropy),
                SquaredMisfit(seed, self.squared),
            ]
        if self.sweep is not None:
            found += [
                self.cell(seed, strong, weak)
                for strong in self.sweep.strong_noise
                for weak in self.sweep.weak_noise
                for seed in self.seeds
            ]
        return found
