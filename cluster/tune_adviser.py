"""Ray Tune as adviser: it proposes trials, stops the poor ones early, breeds populations. It trains nothing.

Tune runs in a thread of the driver, and its trials are actors that hold no resources (tune_proxy.py). What Tune writes is
thrown away: a search that was broken off is told its past anew, from our own table, so no state of Tune's can be damaged.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import queue
import shutil
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cluster.advice import Ask, Reply, Suggester
from cluster.errors import BadEnvironment
from cluster.ray_connect import first_line

Scheduler = Literal["fifo", "asha", "hyperband", "median"]
MANY = 10_000  # evaluations that no training has
ANSWER_S = 30.0
GOODBYE_S = 20.0
QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the table is ours
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": str(10**9),
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_INIT": "1",
}


@dataclass(frozen=True)
class Stopping:
    """When a trial is let go: Tune's scheduler of that name, counting evaluations. `most`: those of a whole training."""

    scheduler: Scheduler = "fifo"
    grace: int = 1
    reduction: float = 3
    most: int | None = None


@dataclass(frozen=True)
class Member:
    """One of a population: what it begins with, after the rungs that lie behind it (as many for all)."""

    values: Mapping[str, float]
    history: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True)
class Population:
    """Population-based training (Jaderberg et al. 2017): after each rung the worst quarter takes over a state of the best
    quarter and goes on with other values. Steps of a fifth may leave the bounds, which are those of first draws.

    Members are known by their place."""

    members: Sequence[Member]
    bounds: Mapping[str, tuple[float, float]]
    seed: int = 0


class TuneAdviser:
    """Tune at work. Needs a connected Ray cluster.

    Give it one of: `trials`, a list to be made whole; `suggester`, with how many it may make; `population`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        trials: Sequence[str] = (),
        suggester: Suggester | None = None,
        count: int = 0,
        population: Population | None = None,
        stopping: Stopping | None = None,
        at_once: int = 1,
    ) -> None:
        import ray

        from cluster.tune_proxy import Desk

        os.environ.update(QUIET)
        self._ray, self._folder = ray, folder
        # a desk on the driver's own node, which ends with the driver
        self._desk: Any = ray.remote(Desk).options(num_cpus=0, max_concurrency=MANY).remote()
        self._name = uuid.uuid4().hex
        self._gone: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._told_gone: set[tuple[str, int]] = set()  # Tune's thread tells of a paused trial at every step
        self._closing = False
        self._error: BaseException | None = None
        self.suggester, self.count, self.suggested = suggester, count, 0
        self._setup = (list(trials), population, stopping or Stopping(), at_once)
        _ADVISERS[self._name] = self
        self._thread = threading.Thread(target=self._run, name="tune", daemon=True)
        self._thread.start()

    # ---- for the search

    def asks(self) -> list[Ask]:
        try:
            requests = self._ray.get(self._desk.take.remote(), timeout=ANSWER_S)
        except self._ray.exceptions.RayError as error:
            what = f"does not answer: {first_line(error)}"
            raise BadEnvironment("Ray Tune", what, "the same command goes on from here") from None
        return [Ask(**{**request, "history": tuple(request["history"])}) for request in requests]

    def tell(self, ask: Ask, reply: Reply) -> None:
        objective = -math.inf if reply.objective is None else reply.objective  # Tune ranks numbers only
        answer = {"id": ask.id, "objective": objective, "last": reply.last, "failed": reply.failed}
        self._desk.answer.remote([answer])

    def let_go(self) -> list[tuple[str, int]]:
        gone: list[tuple[str, int]] = []
        with contextlib.suppress(queue.Empty):
            while True:
                gone.append(self._gone.get_nowait())
        return gone

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    @property
    def closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(Exception):
            self._ray.get(self._desk.close.remote(), timeout=ANSWER_S)
        self._thread.join(GOODBYE_S)
        with contextlib.suppress(Exception):
            self._ray.kill(self._desk)
        _ADVISERS.pop(self._name, None)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._error is not None:
            raise BadEnvironment("Ray Tune", f"broke: {first_line(self._error)}", "the same command goes on from here")

    # ---- for Tune, in its thread

    def stopped(self, trial: Any) -> None:
        """Tune has ended or paused a trial."""
        if "trial" in trial.config:  # a population's members leave nothing running behind
            where = (str(trial.config["trial"]), int(trial.last_result.get("rung", 0)))
            if where not in self._told_gone:
                self._told_gone.add(where)
                self._gone.put(where)

    def _run(self) -> None:
        with _hushed():
            try:
                self._tuner().fit()
            except BaseException as error:  # told by close(), in the thread that can act on it
                self._error = error

    def _tuner(self) -> Any:
        from ray import tune

        from cluster.tune_hooks import Ends, Suggests, Tells
        from cluster.tune_proxy import Proxy

        trials, population, stopping, at_once = self._setup
        space: dict[str, Any]
        scheduler: Any
        searcher: Any = None
        if (
            stopping.scheduler == "hyperband"
        ):  # a bracket that is not full when its first gets there judges that one alone
            at_once = max(at_once, len(trials) or widest_bracket(stopping.most or MANY, stopping.reduction))
        if population is not None:
            space, scheduler = _population(population)
            at_once = len(population.members)
        elif self.suggester is not None:
            space, scheduler, searcher = {}, _stopping(stopping), Suggests(self._name)
        else:
            space, scheduler = {"trial": tune.grid_search(trials)}, _stopping(stopping)
        # it must reserve something: a byte
        trainable = tune.with_resources(tune.with_parameters(Proxy, desk=self._desk), {"memory": 1})
        config = tune.TuneConfig(
            metric="objective", mode="max", scheduler=scheduler, search_alg=searcher, reuse_actors=True,
            num_samples=self.count if searcher is not None else 1, max_concurrent_trials=at_once,
        )  # fmt: skip
        run_config = tune.RunConfig(
            name="search", storage_path=str(self._folder), verbose=0, callbacks=[Tells(self._name)],
            stop=Ends(self._name), checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        )  # fmt: skip
        return tune.Tuner(trainable, param_space=space, tune_config=config, run_config=run_config)


_ADVISERS: dict[str, TuneAdviser] = {}


def by_name(name: str) -> TuneAdviser | None:
    """An adviser at work. What is handed to Tune gets pickled, and a name can be."""
    return _ADVISERS.get(name)


def widest_bracket(most: int, reduction: float) -> int:
    """How many trials the largest bracket of a hyperband holds, for trainings of `most` evaluations (Li et al. 2018)."""
    brackets = round(math.log(most) / math.log(reduction)) + 1
    return max(math.ceil(brackets / (s + 1) * reduction**s) for s in range(brackets))


def _stopping(how: Stopping) -> Any:
    from ray.tune import schedulers

    most = how.most or MANY
    if how.scheduler == "asha":
        return schedulers.AsyncHyperBandScheduler(
            time_attr="rung", max_t=most, grace_period=how.grace, reduction_factor=how.reduction, stop_last_trials=False
        )
    if how.scheduler == "hyperband":
        return schedulers.HyperBandScheduler(
            time_attr="rung", max_t=most, reduction_factor=how.reduction, stop_last_trials=False
        )
    if how.scheduler == "median":
        return schedulers.MedianStoppingRule(time_attr="rung", grace_period=how.grace)
    return None


def _population(population: Population) -> tuple[dict[str, Any], Any]:
    import random

    import numpy as np
    from ray import tune
    from ray.tune.schedulers import PopulationBasedTraining

    random.seed(population.seed)  # what Tune draws from
    np.random.seed(population.seed)
    members = [
        {"values": dict(one.values), "history": [dict(past) for past in one.history]} for one in population.members
    ]
    space: dict[str, Any] = {"member": tune.grid_search(members)}
    for name in population.bounds:
        space[name] = tune.sample_from(functools.partial(_first_value, name))
    scheduler = PopulationBasedTraining(
        time_attr="turn", perturbation_interval=1, synch=True, log_config=False,
        hyperparam_mutations={name: tune.uniform(low, high) for name, (low, high) in population.bounds.items()},
    )  # fmt: skip
    return space, scheduler


def _first_value(name: str, config: Mapping[str, Any]) -> float:
    return float(config["member"]["values"][name])


@contextlib.contextmanager
def _hushed() -> Any:
    """Tune logs every decision and warns of what is on purpose here; what ends a search is raised, and told."""
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air")]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
