"""How a stage uses a model (it trains it, lets it read, asks it in words), and the sizes and the memory that takes.

use_of(stage) -> Use | None               which learner, and how; None for a stage that runs no whole model
sizes_in(use, counted) -> Sizes           a classifier's sizes as those of the model in this use
fit_in(use, machine, sizes, device)       as `w2s.fit.fit`, for each use

A model that reads or answers has its unembedding, which a classifier leaves behind.
"""

# V vocabulary, D width, T tokens

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

from cluster.memory import FULL, Choice, Device, Load, estimate, text
from cluster.sizes import Activations, Sizes
from cluster.zero import Zero
from w2s.fit import Fit, fit, rows_of
from w2s.learner import Learner, ModelRef
from w2s.machines import Machine
from w2s.sizes import config_place
from w2s.stages import Adapt, Generate, Predict, Probe, Prompted, Stage, Train, Write

How = Literal["trained", "adapted", "prompted", "writing"]
LOGITS_BYTES = 2**32  # most that an Adapt or Write stage's logits take (w2s.work.adapt), which no classifier has
LOGITS_COPIES = 4  # of every logit: as the model gave it, widened, normalised, and its gradient
ASKED_TOKENS = 8_192  # padded tokens of a forward pass without gradients (w2s.work.evaluate)


@dataclass(frozen=True)
class Use:
    """A learner, and what a stage does with its model. Of a prompted one only model, max_tokens and precision matter."""

    learner: Learner
    how: How = "trained"

    @property
    def name(self) -> str:
        """For people: `gpt2`, `gpt2 (adapted)`."""
        return self.learner.model.short if self.how == "trained" else f"{self.learner.model.short} ({self.how})"


def use_of(stage: Stage) -> Use | None:
    """Which learner's model a stage runs, and how. Heads on hidden states run none; prediction counts as training does."""
    if isinstance(stage, Adapt):
        return Use(stage.learner, "adapted")
    if isinstance(stage, Prompted):
        return Use(Learner(model=stage.model, max_tokens=stage.max_tokens, precision=stage.precision), "prompted")
    if isinstance(stage, Write):
        return Use(stage.learner, "writing")
    if isinstance(stage, Generate):
        return Use(stage.model.learner, "writing")
    if isinstance(stage, Train):
        return Use(stage.learner)
    if isinstance(stage, Predict) and not isinstance(stage.model, Probe):
        return Use(stage.model.learner)
    return None


def sizes_in(use: Use, counted: Sizes) -> Sizes:
    """Sizes as used, from those of the same learner as a classifier.

    Adapted: every token meets the unembedding, and its logits are held (as many as the stage holds at once). Writing is counted
    as that, though its answers' tokens alone do: how many these are, no config tells.
    Prompted: nothing learns, and one token a text is shown to the unembedding, which costs no more than the head did.
    """
    if use.how == "trained":
        return counted
    table = counted.vocabulary * counted.width
    own = 0 if ties(use.learner.model) else table  # a tied unembedding is the embedding, counted already
    whole = dataclasses.replace(
        counted,
        parameters=counted.parameters + own,
        largest_parameter=max(counted.largest_parameter, own),
        largest_module=max(counted.largest_module, own),
    )
    if use.how == "prompted":
        return dataclasses.replace(
            whole, learning=0, learning_computing=0, reached=0, depth_reached=0,
            plain=counted.layer, checkpointed=counted.layer, layer=Activations(0.0, 0.0, 0.0),
        )  # fmt: skip
    learns = use.learner.lora is None and use.learner.trainable_layers == "all"
    a_token = LOGITS_COPIES * FULL * counted.vocabulary
    most = a_token * max(use.learner.max_tokens, rows_of(use.learner, 1) * use.learner.max_tokens)
    logits = Activations(float(min(max(LOGITS_BYTES, a_token * use.learner.max_tokens), most)), 0.0, 0.0)
    return dataclasses.replace(
        whole,
        learning=counted.learning + (own if learns else 0),
        computing=counted.computing + table,
        reached=counted.reached + table,
        learning_computing=counted.learning_computing + (table if learns else 0),
        plain=_beside(counted.plain, logits),
        checkpointed=_beside(counted.checkpointed, logits),
    )


def fit_in(use: Use, machine: Machine, sizes: Sizes, device: Device) -> Fit:
    """What the use needs on the machine. A prompted model trains nowhere: whole on one device, or cut up by ZeRO-3."""
    if use.how != "prompted":
        return fit(use.learner, machine, sizes, device)
    tokens = use.learner.max_tokens
    rows = max(1, ASKED_TOKENS // tokens)
    whole = estimate(sizes, Load(None, 1, rows, tokens, use.learner.precision, device.gpu))
    by_stage, kept = {"plain": whole}, whole
    if machine.is_gang and machine.zero in ("auto", 3):
        cut = Zero(3, machine.offload, machine.nvme_path)
        by_stage["3"] = estimate(sizes, Load(cut, machine.devices, rows, tokens, use.learner.precision, device.gpu))
        kept = by_stage["3"] if machine.zero == 3 or whole.total > device.bytes else whole
    misses = max(0, kept.total - device.bytes)
    note = f"asking needs {text(misses)} more than {text(device.bytes)}; set zero: 3 and more devices" if misses else ""
    choice = Choice(None if kept is whole else 3, rows, False, kept, misses)
    return Fit(device, choice, by_stage, note)


def ties(model: ModelRef) -> bool:
    """Whether a model's unembedding is its embedding, as far as its config tells; transformers takes them to be one."""
    if model.form == "tiny":
        return model.source != "tiny:llama"
    place = config_place(model)
    if place is None or not place.is_dir():
        return True
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return bool(config.get("tie_word_embeddings", True)) if isinstance(config, dict) else True


def _beside(curve: Activations, more: Activations) -> Activations:
    return dataclasses.replace(curve, constant=curve.constant + more.constant)
