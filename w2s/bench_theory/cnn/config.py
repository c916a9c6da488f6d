"""The constants of the CNN bench: one simulated point, and the points and grids that a run looks at. All our own choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from w2s.bench_theory.simulation import Simulation
from w2s.config import Config


class Point(Config):
    """Data, both models and their training. Item types have probabilities p_easy = 1 - p_hard - p_both, p_hard and p_both."""

    easy_norm: float = Field(8.0, gt=0, description="|mu|, the easy signal's length")
    hard_norm: float = Field(6.0, gt=0, description="|nu|, the hard signal's length")
    noise: float = Field(1.0, gt=0, description="sigma_p, the noise's standard deviation in each coordinate")
    dims: int = Field(1000, ge=1, le=1_000_000, description="d, coordinates of noise beside those of the four signals")
    p_hard: float = Field(0.30, ge=0, le=1, description="share of items with the hard signal alone")
    p_both: float = Field(0.35, ge=0, le=1, description="share of items with both signals")
    n_weak: int = Field(2000, ge=2, description="items the weak model learns the truth of")
    weak_lr: float = Field(0.01, gt=0)
    weak_steps: int = Field(200, ge=1)
    n_strong: int = Field(100, ge=2, description="n_st, items the strong model learns the weak model's labels of")
    filters: int = Field(10, ge=1, description="m, filters for each class")
    init: float = Field(1e-3, gt=0, description="sigma_0, the filters' standard deviation at the beginning")
    lr: float = Field(0.1, gt=0, description="the strong model's step size, full-batch gradient descent")
    steps: int = Field(400, ge=1)
    n_test: int = Field(1000, ge=1, description="test items of each type")
    records: int = Field(24, ge=2, description="at most so many steps are measured, spaced geometrically")

    @model_validator(mode="after")
    def _shares(self) -> Point:
        if self.p_hard + self.p_both > 1 + 1e-12:
            raise ValueError(f"p_hard + p_both is {self.p_hard + self.p_both:g}, more than 1")
        return self

    @property
    def p_easy(self) -> float:
        return max(0.0, 1 - self.p_hard - self.p_both)

    @property
    def ratio(self) -> float:
        """n_st p_b^2 |nu|^4 / (sigma_p^4 d), what the boundary of benign and harmful overfitting is drawn by."""
        return self.n_strong * self.p_both**2 * self.hard_norm**4 / (self.noise**4 * self.dims)


@dataclass(frozen=True)
class Cnn(Simulation):
    """One simulation of a point."""

    TARGET: ClassVar[str] = "w2s.bench_theory.cnn.work:run"

    point: Point

    @property
    def words(self) -> str:
        at = self.point
        told = f"n_st={at.n_strong} |nu|={at.hard_norm:g} p_both={at.p_both:g} d={at.dims}"
        return f"cnn {told}, {at.steps} steps s{self.seed}"


class Grid(Config):
    """A phase diagram: simulations at `base` with each number of items, and each value of one other constant."""

    over: Literal["hard_norm", "p_both"]
    base: Point
    n_strong: tuple[int, ...] = Field(min_length=1)
    values: tuple[float, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0, 1), min_length=1)

    def point(self, n_strong: int, value: float) -> Point:
        return Point.model_validate({**self.base.dump(), "n_strong": n_strong, self.over: value})

    @model_validator(mode="after")
    def _valid(self) -> Grid:
        for value in self.values:
            self.point(min(self.n_strong), value)
        return self


SCARCE = Point(dims=4000, n_weak=1000, weak_steps=100, steps=200)
ABUNDANT = Point(n_strong=20_000, lr=0.25, steps=200)
PHASE = Point(dims=2000, n_weak=1000, weak_steps=100, hard_norm=8.0, steps=100, n_test=500, records=2)
COARSE_N, COARSE_NORMS, COARSE_SHARES = (20, 50, 125, 320), (1.5, 3.0, 6.0, 12.0), (0.05, 0.15, 0.35, 0.6)
FINE_N = (10, 20, 35, 60, 100, 180, 320, 560)
FINE_NORMS = (1.0, 1.5, 2.2, 3.0, 4.5, 6.0, 9.0, 12.0)
FINE_SHARES = (0.03, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.65)


class Bench(Config):
    """What `w2s theory cnn` looks at."""

    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    harmful: Point = SCARCE.model_copy(update={"n_strong": 75, "hard_norm": 3.0})
    benign: Point = SCARCE.model_copy(update={"n_strong": 300, "hard_norm": 12.0})
    abundant: Point = ABUNDANT
    control: Point = ABUNDANT.model_copy(update={"p_both": 0.0, "steps": 40})
    by_norm: Grid = Grid(over="hard_norm", base=PHASE, n_strong=COARSE_N, values=COARSE_NORMS)
    by_share: Grid = Grid(over="p_both", base=PHASE, n_strong=COARSE_N, values=COARSE_SHARES)

    SCENES: ClassVar[tuple[str, ...]] = ("harmful", "benign", "abundant", "control")
    GRIDS: ClassVar[tuple[str, ...]] = ("by_norm", "by_share")

    def scene(self, name: str) -> Point:
        found: Point = getattr(self, name)
        return found

    def grid(self, name: str) -> Grid:
        found: Grid = getattr(self, name)
        return found

    def stages(self) -> list[Cnn]:
        """Every simulation, the long ones first; one that two parts ask for is there twice, and done once."""
        scenes = [Cnn(seed, self.scene(name)) for name in reversed(self.SCENES) for seed in self.seeds]
        grids = [self.grid(name) for name in self.GRIDS]
        cells = [
            Cnn(seed, grid.point(n, value))
            for grid in grids
            for n in reversed(grid.n_strong)
            for value in grid.values
            for seed in grid.seeds
        ]
        return scenes + cells


def fine(bench: Bench) -> Bench:
    """The same with finer phase diagrams: hundreds of simulations, for a cluster."""
    more = {"n_strong": FINE_N, "seeds": (0, 1, 2)}
    return bench.model_copy(
        update={
            "by_norm": bench.by_norm.model_copy(update={**more, "values": FINE_NORMS}),
            "by_share": bench.by_share.model_copy(update={**more, "values": FINE_SHARES}),
        }
    )
