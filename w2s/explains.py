"""Whether a student can be taught by rationales: what task, model and machine must bring, judged before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cluster.errors import BadInput
from w2s.explain import Explain
from w2s.learner import Learner
from w2s.losses.xent import Config as Xent
from w2s.machines import Machine
from w2s.stages import Stage, Train, reached
from w2s.task import TaskConfig


def check(task: TaskConfig, stages: Iterable[Stage], machine: Callable[[Learner], Machine]) -> None:
    """Raise BadInput for an explained Train stage that cannot be what it says, or not exactly."""
    for stage in reached(*stages):
        if not isinstance(stage, Train) or stage.explain is None:
            continue
        if not task.highlighted:
            what = f"learns from highlights, and task {task.told} has none"
            raise BadInput("method explained", what, "take one that has: esnli, or a decoy of this one")
        if stage.loss != Xent():
            raise BadInput("method explained", f"is cross-entropy, not {stage.loss.kind}", "drop the loss")
        _check_model(stage.explain, stage.learner)
        _check_machine(stage.explain, stage.learner, machine(stage.learner))


def _check_model(explain: Explain, learner: Learner) -> None:
    model = learner.model
    if explain.by == "ibp" and model.form != "static":
        what = (
            f"ibp: bounds blow up through the attention of {model.short}; they are exact for static word vectors alone"
        )
        raise BadInput("method.by", what, "use pgd, or a static: model")
    if explain.by != "corm" and explain.rationale == "random" and model.form == "static":
        what = f"random: by {explain.by} a mean of word vectors minds how many tokens are irrelevant, not which"
        raise BadInput(
            "method.rationale", f"{what}, so this control is the same student", "use by: corm, or a transformer"
        )
    if explain.replace == "mask" and model.form in ("tiny", "static"):
        raise BadInput("method.replace", f"{model.short} has no mask token", "set replace: random")
    if learner.precision == "fp16" and explain.by != "corm":
        what = f"{explain.by} takes gradients that fp16 cannot hold without a scale of their own"
        raise BadInput("strong.precision", what, "set precision: bf16, or by: corm")


def _check_machine(explain: Explain, learner: Learner, machine: Machine) -> None:
    name = f"machines, {learner.model.short}"
    if machine.is_gang and (explain.by == "ibp" or explain.slope):
        what = "ibp reads the head as it is" if explain.by == "ibp" else "a gradient's gradient is not DeepSpeed's"
        raise BadInput(name, f"{what}, so one device trains it, not a gang", "set devices: 1, or use by: pgd or corm")
    if machine.compile and explain.by != "corm":
        what = f"{explain.by} moves token vectors, which a compiled model would not see"
        raise BadInput(name, what, "set compile: false, or use by: corm")
    if machine.gradient_checkpointing and explain.slope:
        what = "a gradient's gradient needs what gradient_checkpointing throws away"
        raise BadInput(name, what, "set gradient_checkpointing: false, or gradient: 0")
