"""Which stepper a stage's machines call for, and how its model is brought in: the door through which DeepSpeed is loaded late.

A solo stage never imports DeepSpeed: loading it takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from cluster.zero import Zero as Settings
from w2s.learner import Learner
from w2s.loss import LossConfig
from w2s.work.hidden import Reader
from w2s.work.model import Classifier
from w2s.work.next_word import NextWord
from w2s.work.ranks import Ranks
from w2s.work.scorer import PlainScorer, Scorer
from w2s.work.stepper import Plain, Stepper, Trainable
from w2s.work.writer import Writer


def settings(machines: Mapping[str, Any], ranks: Ranks) -> Settings | None:
    """How the gang shards its model; None for one plain device (also where a debugger runs a gang's stage alone).

    `auto` has been decided before (`fitted`).
    """
    stage, offload = machines.get("zero", "auto"), machines.get("offload", "none")
    return None if not in_gang(ranks) or stage == "auto" else Settings(stage, offload, machines.get("nvme_path"))


def in_gang(ranks: Ranks) -> bool:
    """Whether there is a process group to join."""
    import torch.distributed as dist

    return ranks.count > 1 or (dist.is_available() and dist.is_initialized())


def loading(
    machines: Mapping[str, Any], learner: Learner, ranks: Ranks, *, saved: bool = False
) -> AbstractContextManager[Any]:
    """While a model is loaded: under ZeRO-3 each weight is cut up as soon as it exists.

    `saved`: from the folder of a trained stage, whatever the learner began with.
    """
    found = settings(machines, ranks)
    if found is None:
        return nullcontext()
    from w2s.work import zero

    zero.prepare(ranks.device)
    in_code = learner.model.form == "static" or (learner.model.form == "tiny" and not saved)
    whole = found.stage < 3 or in_code  # a small model that is built here is cut up afterwards
    return nullcontext() if whole else zero.partition_at_load(found, learner.precision)


def make_stepper(
    machines: Mapping[str, Any], model: Trainable, learner: Learner, loss: LossConfig | None, ranks: Ranks
) -> Stepper:
    """Plain on one device, Zero in a gang."""
    found = settings(machines, ranks)
    if found is None:
        return Plain(model, learner, loss, ranks)
    from w2s.work import zero

    return zero.Zero(model, learner, loss, ranks, found)


def make_scorer(
    machines: Mapping[str, Any], model: Classifier | Reader | NextWord | Writer, learner: Learner, ranks: Ranks
) -> Scorer:
    """A trained model, to predict with: whole on each device, or cut up over the gang where its weights need that."""
    found = settings(machines, ranks)
    model.requires_grad_(False)
    if found is None or found.stage < 3:
        return PlainScorer(model.to(ranks.device).eval(), learner, ranks)
    from w2s.work import zero

    return zero.ZeroScorer(model.eval(), learner, ranks, found)
