"""`auto` decided where the work is done: the ZeRO stage and the tokens held at once that this device has room for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch

from cluster import surroundings
from cluster.errors import Problem
from cluster.job import Context
from cluster.memory import TOKEN_CAP, Device, Stage, Task, Wanted, choose
from cluster.sizes import Sizes
from w2s.fit import rows_of
from w2s.learner import Learner
from w2s.sizes import sizes_of
from w2s.work.ranks import Ranks
from w2s.work.sharded import in_gang

WEIGHTS_SHARE = 0.8  # of a device's memory that whole weights may take when a model only predicts
FULL = 4  # bytes of a float32


def fitted(context: Context, learner: Learner, ranks: Ranks) -> Context:
    """The context with `zero` and `tokens_at_once` (padded tokens of a micro-batch) decided, alike on every rank.

    Raises BadEnvironment when `auto` finds nothing that fits a gang; a solo stage then takes the least it can, and says so.
    """
    machines = {"tokens_at_once": TOKEN_CAP, **context.machines}
    gang = in_gang(ranks)
    decided = machines.get("zero", "auto") != "auto" and machines.get("micro_batch", "auto") != "auto"
    if decided or not (gang or ranks.device == "cuda"):  # on a CPU memory is rarely what a small solo stage lacks
        return replace(context, machines=machines)
    sizes = _sizes(learner, ranks)
    if sizes is None:
        zero = machines.get("zero", "auto")
        return replace(context, machines={**machines, "zero": _default_stage(learner) if zero == "auto" else zero})
    return replace(context, machines={**machines, **_choice(context, learner, ranks, sizes, gang)})


def fitted_to_predict(context: Context, learner: Learner, ranks: Ranks) -> Context:
    """The context with `zero` decided for a trained model: cut up (3) only where whole weights leave no room."""
    if context.machines.get("zero", "auto") != "auto" or not in_gang(ranks):
        return context
    sizes = _sizes(learner, ranks)
    fits = sizes is not None and FULL * sizes.parameters < WEIGHTS_SHARE * _device(ranks, 1.0).bytes
    return replace(context, machines={**context.machines, "zero": 0 if fits else 3})


def _choice(context: Context, learner: Learner, ranks: Ranks, sizes: Sizes, gang: bool) -> dict[str, Any]:
    machines = context.machines
    micro = machines.get("micro_batch", "auto")
    zero: Stage | Literal["auto"] = machines.get("zero", "auto")
    if zero == "auto" and learner.precision == "fp16":
        zero = _default_stage(learner)
    wanted = Wanted(
        zero if gang else "plain",
        None if micro == "auto" else int(micro),
        machines.get("offload", "none"),
        machines.get("nvme_path"),
        bool(machines.get("gradient_checkpointing")),
        bool(machines.get("compile")),
    )
    task = Task(sizes, rows_of(learner, ranks.count), learner.max_tokens, learner.precision)
    try:
        choice = choose(task, _device(ranks, _share(machines)), ranks.count, wanted, context.name)
    except Problem as problem:
        if gang:
            raise
        context.watch.note(f"memory may not be enough: {problem.what}; {problem.remedy}")
        return {"tokens_at_once": learner.max_tokens}
    found: dict[str, Any] = {"tokens_at_once": min(TOKEN_CAP, choice.micro * learner.max_tokens)}
    if gang:
        found["zero"] = choice.zero
        context.watch.note(
            f"ZeRO-{choice.zero}, {choice.micro} rows at once: {choice.memory.total / 1e9:.2f} GB a device"
        )
    return found


def _default_stage(learner: Learner) -> Stage:
    """Where sizes are not known; fp16 is exact only while nothing is cut up."""
    return 0 if learner.precision == "fp16" else 2


def _sizes(learner: Learner, ranks: Ranks) -> Sizes | None:
    """Counted (or remembered) on the first rank, told to the others."""
    own = sizes_of([learner])[learner] if ranks.first else None
    told = ranks.show(own.to_json() if own is not None else None)[0]
    return Sizes.from_json(told) if told is not None else None


def _share(machines: Mapping[str, Any]) -> float:
    """Of a GPU that others work on too, the part this stage reserved."""
    return float(machines.get("gpus") or 1.0)


def _device(ranks: Ranks, share: float) -> Device:
    """The least any rank has free: of its part of a GPU, or of the memory that the node's ranks have together."""
    if ranks.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return Device(int(ranks.least(min(free, share * total))), gpu=True)
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", ranks.count))
    return Device(int(ranks.least(surroundings.memory().available / neighbours)), gpu=False)
