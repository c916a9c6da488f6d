"""What a recipe asks for, in words: the task, the models and their sizes, the methods, the seeds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from cluster.job import Receipt
from cluster.store import Store
from w2s import registry
from w2s.learner import Learner
from w2s.report.page.chapter import Chapter
from w2s.shown.ledger import Ledger
from w2s.stages import Model
from w2s.work.card import shareable

LONGEST_HEADER = 50_000_000  # bytes; of a safetensors file that is none


@dataclass(frozen=True)
class Side:
    """One of the two learners: its model, how large, and how it learns."""

    side: str
    model: str
    source: str
    size: str
    learning: str


@dataclass(frozen=True)
class Method:
    label: str
    words: str
    oracle: bool


@dataclass(frozen=True)
class Asked:
    """A recipe in words."""

    title: str
    description: str
    task: str
    source: str
    sides: tuple[Side, ...]
    methods: tuple[Method, ...]
    seeds: str
    split: str


def asked_of(chapter: Chapter, store: Store, ledger: Ledger) -> Asked:
    """Reads receipts, and the headers of finished models."""
    recipe = chapter.recipe
    learners = (("weak (supervisor)", recipe.weak), ("strong (student, ceiling)", recipe.strong))
    methods = tuple(
        Method(line.row.method, registry.summary("methods", line.config.kind), line.scores.oracle)
        for line in chapter.lines
    )
    split = recipe.split
    halves = (
        f"{split.val:.0%} of the training rows held out, then {split.weak:.0%} of the rest for the weak half, "
        f"{1 - split.weak:.0%} for the strong half"
    )
    if recipe.task.sided:
        source, shift = recipe.task.domains
        halves = (
            f"{split.val:.0%} of the training rows of each domain held out; the rest of {source} is the weak half, that of {shift} "
            "the strong half; test rows are of the shifted domain"
        )
    sides = tuple(
        Side(
            side, one.model.short, str(shareable(one.model.source)), _size(one, chapter, store, ledger), _learning(one)
        )
        for side, one in learners
    )
    seeds = ", ".join(map(str, recipe.seeds))
    return Asked(chapter.title, recipe.description, recipe.task.told, recipe.task.SOURCE, sides, methods, seeds, halves)


def _learning(learner: Learner) -> str:
    if learner.model.form == "given":
        return "labels that came with the task"
    if learner.probe is not None:
        return "a linear head on the frozen model's hidden states"
    layers = {"all": "all layers", 0: "the head alone"}.get(
        learner.trainable_layers, f"the last {learner.trainable_layers} layers"
    )
    what = "low-rank adapters (LoRA)" if learner.lora is not None else layers
    batch = f"batch {learner.batch}" if learner.batch_tokens is None else f"batches of {learner.batch_tokens:,} tokens"
    passes = f"{learner.epochs:g} {'epoch' if learner.epochs == 1 else 'epochs'}"
    return f"{what}; {passes}, {batch}, {learner.optim.kind} at {learner.optim.lr:g}, {learner.precision}"


def _size(learner: Learner, chapter: Chapter, store: Store, ledger: Ledger) -> str:
    """Parameters of a finished model, by the headers of its weights; their bytes where these are not on this disk."""
    for key, stage in chapter.graph.items():
        if (
            isinstance(stage, Model)
            and stage.learner.model == learner.model
            and (receipt := ledger.receipt(key)) is not None
        ):
            weights = _weights(receipt)
            if not weights:
                continue
            count = sum(parameters(store.path(key) / name) for name in weights) if store.is_local else 0
            mb = sum(weights.values()) / 1e6
            return f"{_short(count)} parameters" if count else f"{mb:,.1f} MB of weights"
    return ""


def _weights(receipt: Receipt) -> dict[str, int]:
    """The files of a saved model and their bytes; adapters lie apart, and are in the weights already."""
    return {
        name: int(facts["bytes"])
        for name, facts in receipt.files.items()
        if name.startswith("model/") and name.endswith(".safetensors") and "/adapter/" not in name
    }


def parameters(file: Path) -> int:
    """Numbers in a safetensors file, by its header; 0 where it has none that can be read."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if length < LONGEST_HEADER else {}
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _short(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)
