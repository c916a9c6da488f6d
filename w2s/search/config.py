"""A recipe's `search:` section: what is tried, how often, what counts as good, and when to stop.

search:
  space:
    method.alpha: {uniform: [0, 0.9]}
    method.warmup: [0, 0.2, 0.5]
  trials: 32
  objective: agreement
  scheduler: asha
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from cluster.errors import BadInput
from w2s.config import Config
from w2s.schema import FieldFault
from w2s.search.domains import Choice, Domain
from w2s.search.space import check_space, named
from w2s.seeds import Seeds

Objective: TypeAlias = Literal["agreement", "misfit", "confidence", "oracle"]
Algorithm: TypeAlias = Literal["random", "grid", "optuna", "pbt"]
Early: TypeAlias = Literal["fifo", "asha", "hyperband", "median", "pbt"]

MOST_TRIALS = 100_000
TOLD_OBJECTIVE: dict[Objective, str] = {
    "agreement": "agreement with held-out weak labels",
    "misfit": "predicted gain: misfit_slope x misfit on held-out rows, less the supervisor's own cross-entropy there",
    "confidence": "mean largest probability on held-out rows",
    "oracle": "held-out accuracy against ground truth: a bound, which no honest search can use",
}


class Budget(Config):
    """When to start no more trials; null for never. What runs then saves and leaves; the same command goes on, with as much again."""

    minutes: float | None = Field(None, gt=0, description="by the clock")
    device_hours: float | None = Field(None, gt=0, description="devices x hours of the stages run for this search")


class Search(Config):
    """What to search, how, and by which measure. Nothing here enters the key of a stage."""

    space: dict[str, Domain] = Field(description="dotted path of a field -> its domain")
    trials: int = Field(16, ge=1, le=MOST_TRIALS, description="how many; not for grid, which has as many as it has")
    seeds: Seeds | None = Field(None, description="of each trial; null: the recipe's")
    objective: Objective = Field(
        "agreement",
        description="what is highest in the best trial: agreement with held-out weak labels | misfit: predicted gain | "
        "confidence: mean largest probability | oracle: accuracy against ground truth, a bound and marked as such",
    )
    misfit_slope: float = Field(
        1.0, gt=0, description="misfit: the c in c x reverse misfit - supervisor's cross-entropy"
    )
    algorithm: Algorithm = Field("random", description="how values are chosen; optuna learns from the trials before")
    scheduler: Early = Field("fifo", description="how bad trials end early; fifo: they do not")
    grace: int = Field(1, ge=1, description="asha, hyperband, median: evaluations before a trial may be stopped")
    reduction: float = Field(3, gt=1, le=100, description="asha, hyperband: one trial of so many goes on")
    rounds: int = Field(8, ge=2, le=64, description="pbt: equal shares of training, between which alpha may change")
    budget: Budget = Budget()
    max_concurrent: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="trials at a time; auto: as many as the devices hold"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of the draws")

    @property
    def is_oracle(self) -> bool:
        return self.objective == "oracle"

    @property
    def varied(self) -> str:
        """The searched fields, for a line."""
        return ", ".join(self.space)

    @model_validator(mode="before")
    @classmethod
    def _pbt_is_both(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("algorithm") == "pbt":
            return {"scheduler": "pbt", **value}
        return value

    @field_validator("space")
    @classmethod
    def _could_be(cls, value: dict[str, Domain]) -> dict[str, Domain]:
        try:
            check_space(value)
        except BadInput as problem:
            told = f"{problem.what}; {problem.remedy}" if problem.remedy else problem.what
            path = problem.where.removeprefix(named(""))
            raise (FieldFault(path, told) if path in value else ValueError(told)) from None
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Search:
        if "pbt" in (self.algorithm, self.scheduler):
            self._check_pbt()
        elif self.algorithm == "grid":
            self._check_grid()
        return self

    def _check_grid(self) -> None:
        endless = [path for path, domain in self.space.items() if domain.every() is None]
        if endless:
            what = f"grid needs values to walk through; give {endless[0]} a step, or a choice of values"
            raise FieldFault("algorithm", what)
        if "trials" in self.model_fields_set:
            raise FieldFault(
                "trials", "a grid has as many trials as it has points; drop trials, or set algorithm: random"
            )

    def _check_pbt(self) -> None:
        if self.algorithm != "pbt":
            what = f"pbt needs algorithm: pbt, not {self.algorithm}; set algorithm: pbt, or scheduler: asha"
            raise FieldFault("scheduler", what)
        if self.scheduler != "pbt":
            raise FieldFault("algorithm", f"pbt is a scheduler as well, not {self.scheduler}; drop scheduler")
        asked = "search method.alpha: {uniform: [0, 0.9]} alone, or set algorithm: random"
        for path, domain in self.space.items():
            if path != "method.alpha":
                raise FieldFault(
                    "algorithm",
                    f"pbt changes what it searches while a student trains, and {path} may not change; {asked}",
                )
            if isinstance(domain, Choice):
                raise FieldFault("algorithm", f"pbt moves numbers up and down, and method.alpha is a choice; {asked}")
        if self.trials < 2:
            raise FieldFault("trials", "pbt copies the better half of a population; set trials to 2 or more")
