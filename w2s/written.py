"""What a task of written answers takes: learners that write, and methods that need no class probabilities.

fault(task, side, learner) -> str     what of a learner does not go with the task; "" where all is well
check(task, outcomes)                 raises BadInput for a method that planned other stages than those of writing
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.errors import BadInput
from w2s.learner import Learner
from w2s.losses.xent import Config as Xent
from w2s.method import MethodConfig
from w2s.stages import Generate, GradeAnswers, Outcome, Rows, Stage, Write, reached
from w2s.task import TaskConfig

HEADED = ("head", "head_words", "pooling")
"""What of a learner only a classifier has."""


def fault(task: TaskConfig, side: str, learner: Learner) -> str:
    """Why a learner cannot write this task's answers, in one line; "" where it can, as far as its settings tell."""
    found = _fault(task, learner) if task.writes else ""
    return f"{side}.{found} (task {task.told} has written answers)" if found else ""


def _fault(task: TaskConfig, learner: Learner) -> str:
    if learner.model.form in ("static", "features", "given"):
        return f"model: {learner.model.short} is no language model; take a causal one (GPT-2, Pythia, Llama, Qwen)"
    if learner.probe is not None:
        return "probe: a head on hidden states writes nothing; drop probe"
    if learner.select != "last":
        return f"select: {learner.select} needs class probabilities of held-out rows; set select: last"
    if learner.evaluate != "never":
        return f"evaluate: {learner.evaluate} needs class probabilities of held-out rows; set evaluate: never"
    if learner.trainable_layers == 0:
        return "trainable_layers: 0 leaves nothing that could learn; set it to all"
    for name in HEADED:
        if getattr(learner, name) != Learner.model_fields[name].get_default():
            return f"{name}: a writer has no head; leave {name} out"
    if learner.optim.head_lr is not None:
        return "optim.head_lr: a writer has no head; leave head_lr out"
    if learner.max_tokens <= task.max_new_tokens:
        return f"max_tokens: {learner.max_tokens} leaves no room beside an answer's {task.max_new_tokens}; raise it"
    return ""


def check(task: TaskConfig, outcomes: Mapping[MethodConfig, Mapping[int, Outcome]]) -> None:
    """Raise BadInput for a method that asks, of a task of written answers, for what only classes have."""
    if not task.writes:
        return
    for method, by_seed in outcomes.items():
        goals = [stage for outcome in by_seed.values() for stage in outcome.stages()]
        if not all(_is_writing(stage) for stage in reached(*goals)):
            what = f"{method.label} needs class probabilities; task {task.told} has written answers"
            raise BadInput("method", what, "use naive or bootstrap")


def _is_writing(stage: Stage) -> bool:
    if isinstance(stage, Write):
        return isinstance(stage.loss, Xent) and stage.learner.evaluate == "never"
    return isinstance(stage, Rows | Generate | GradeAnswers)
