"""A training loop's whole state as a checkpoint: saved, found again after a break, and handed from one leg to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from cluster.errors import StageFailed
from cluster.job import Context
from w2s.stages import Leg
from w2s.work import checkpoint
from w2s.work.checkpoint import Below, Checkpoint
from w2s.work.stepper import Stepper

HANDED_ON = "state"
"""Where in a leg's result the state lies that the next leg begins from: one checkpoint."""


@dataclass
class Progress:
    """Where a run is, beyond weights and optimizer: all of it JSON."""

    step: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)
    best_score: float | None = None
    best_step: int = 0
    worse: int = 0  # evaluations since the best
    losses: list[float] = field(default_factory=list)
    overflows: int = 0  # fp16 steps skipped in a row
    course: list[dict[str, Any]] = field(default_factory=list)  # what a loss learned of its own, by step
    parts: list[dict[str, float]] = field(default_factory=list)  # of an explained student's loss, by step


def leg_of(context: Context) -> Leg | None:
    """The leg that a stage trains; None for a whole run."""
    told = context.science.get("leg")
    return None if told is None else Leg(**told)


def save(
    folder: Path, context: Context, stepper: Stepper, progress: Progress, best: dict[str, Tensor], total: int
) -> None:
    """Write a checkpoint of a run of `total` steps into `folder`, on all ranks together."""
    tensors, numbers = stepper.state()
    tensors |= {f"weights/{name}": value for name, value in stepper.weights().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    state = {"progress": vars(progress), "stepper": numbers, "steps": total}
    whole = Checkpoint(progress.step, tensors, state, stepper.layout)
    checkpoint.save(folder, context.key, whole, context.still_mine, stepper.ranks)


def hand_on(context: Context, stepper: Stepper, progress: Progress, total: int) -> None:
    """Leave the state at the end of a leg in its result, for the next. The last leg has no next one, a whole run no legs."""
    leg = leg_of(context)
    if leg is None or leg.last:
        return
    folder = context.out / HANDED_ON
    stepper.ranks.together(lambda: folder.mkdir(exist_ok=True), context.name)
    save(folder, context, stepper, progress, {}, total)


def find(context: Context, stepper: Stepper, total: int) -> Checkpoint | None:
    """Where to go on from: this stage's own last checkpoint, else the state that the leg before left; None for nowhere.

    Raises StageFailed where the leg before left nothing that can be gone on from.
    """
    note, leg = context.watch.note, leg_of(context)
    found = checkpoint.latest(context.work, context.key, note, stepper.ranks)
    fault = "" if found is None else _foreign(found, stepper, total)
    if found is not None and not fault:
        note(f"resumed at step {found.step} of {total}")
        return found
    first = leg is None or leg.index == 0
    if found is not None:
        where = "the beginning" if first else "the leg before"
        note(f"checkpoint of step {found.step} passed over: {fault}; starting from {where}")
    return None if leg is None or first else _handed_on(context, leg, stepper, total)


def _handed_on(context: Context, leg: Leg, stepper: Stepper, total: int) -> Checkpoint:
    before, damage = str(context.science["before"]["key"]), list[str]()
    found = checkpoint.latest(context.inputs[before] / HANDED_ON, before, damage.append, stepper.ranks)
    if found is None:
        what = f"cannot go on from the leg before: {(damage or ['it left no state'])[0]}"
        remedy = "`w2s verify --quarantine` moves it aside, and the next run makes it again"
        raise StageFailed(context.name, what, remedy)
    fault, begin = _foreign(found, stepper, total), leg.span(total)[0]
    if found.step != begin:
        fault = f"it ended at step {found.step}, and this one begins at {begin}"
    if fault:
        what = f"cannot go on from the leg before: {fault}"
        raise StageFailed(context.name, what, f"remove the result {before} from the store, and run again")
    context.watch.note(f"{leg.words} goes on from step {found.step} of {total}")
    return found


def restore(found: Checkpoint, context: Context, stepper: Stepper) -> tuple[Progress, dict[str, Tensor]]:
    """Set the stepper back to a checkpoint. Returns the progress, and the best weights so far that this rank owns."""
    if found.layout != stepper.layout:
        context.watch.note(f"reading a checkpoint of {found.layout} into {stepper.layout}")
    stepper.load_weights(Below(found.tensors, "weights/"))
    best = Below(found.tensors, "best/")
    own = {name: best[name] for name in stepper.owned() if name in best}
    stepper.load_state(found.tensors, dict(found.state["stepper"]))
    return Progress(**found.state["progress"]), own


def _foreign(found: Checkpoint, stepper: Stepper, total: int) -> str:
    """Why a whole checkpoint is not this code's to continue: written by a version that trained otherwise."""
    names = set(Below(found.tensors, "weights/"))
    if found.state.get("steps") != total:
        return f"it is of a run of {found.state.get('steps')} steps, this one has {total}"
    lacks = set(vars(Progress())) ^ set(found.state.get("progress", {}))
    # these came later, and are empty for all losses there were
    if not lacks <= {"course", "parts"} or names != stepper.names:
        return "another version of this code wrote it"
    return ""
