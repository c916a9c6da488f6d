"""The model card: README.md of a trained model's folder, as the hub reads it. What it is, from what, and how to load it.

card(facts) -> str                         pure; a golden file holds one
of_training(context, metrics) -> Facts     what a Train stage knows (PGR it cannot: that needs the other models)
write(folder, facts)                       README.md beside the weights

Texts from recipes and data are shortened and escaped, local paths are cut to their last part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.job import Context
from cluster.provenance import versions
from w2s.learner import ModelRef, is_local
from w2s.work.card_code import WRITES, loading

README = "README.md"
LONGEST = 200  # characters of any one text
TIMES = ("tokens_per_s", "seconds")  # of this run, not of the model: two runs of one key write the same card
NOT_MARKUP = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|#!~$"})


@dataclass(frozen=True)
class Recovery:
    """What a report says of the recipe a model was exported from: intervals as text, PGR or why there is none."""

    recipe: str
    method: str
    seeds: tuple[int, ...]
    n_test: int | None
    floor: str
    transfer: str
    ceiling: str
    pgr: str


@dataclass(frozen=True)
class Facts:
    """Everything a card tells. `labels`: whose labels the model learned from; `about`: the folder's w2s.json.

    `learner` is `Learner.dump()`; `rows` (None: not known), `metrics` and `versions` are those of the receipt.
    """

    name: str
    key: str
    task: str
    part: str
    rows: int | None
    labels: str
    seed: int
    learner: Mapping[str, Any]
    loss: Mapping[str, Any]
    about: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    recovery: Recovery | None = None


def of_training(context: Context, metrics: Mapping[str, Any]) -> Facts:
    """What a Train stage knows of the model it has saved in `context.out / "model"`."""
    science, labels = context.science, context.science["labels"]
    return Facts(
        name=context.name,
        key=context.key,
        task=context.name.partition("/")[0],
        part=science["rows"]["name"],
        rows=metrics.get("rows"),
        labels="ground truth" if labels is None else _named(context.inputs[labels["key"]], labels["key"]),
        seed=science["seed"],
        learner=science["learner"],
        loss=science["loss"],
        about=json.loads((context.out / "model" / "w2s.json").read_text(encoding="utf-8")),
        metrics=metrics,
        versions=versions("w2s"),
    )


def write(folder: Path, facts: Facts) -> None:
    """Put the card beside the weights."""
    (folder / README).write_text(card(facts), encoding="utf-8")


def card(facts: Facts) -> str:
    """The card as markdown with the hub's front matter."""
    model = ModelRef.model_validate(facts.learner["model"])
    what = f"`{_code(model.short)}`, {_tuned(facts)} on the task `{_code(facts.task)}`{_headed(facts.about)}."
    sections = [
        _front_matter(facts, model),
        f"# {_text(facts.name)}",
        what,
        f"Made by w2s, a system for weak-to-strong generalization research, as stage `{facts.key}`.",
        "## Data",
        _data(facts),
        "## Weak to strong",
        _weak_to_strong(facts),
        "## Results",
        _table(("metric", "value"), facts.metrics, leave=TIMES) or "None were recorded.",
        "## Settings",
        _table(("learner", "value"), _flat({**facts.learner, "model": _model(model, facts.learner["model"])}))
        + "\n\n"
        + _table(("loss", "value"), _flat(facts.loss)),
        "## How to load it",
        loading(facts.about, facts.learner),
        "## Versions",
        ", ".join(f"{_text(name)} {_text(found)}" for name, found in sorted(facts.versions.items())) or "Not recorded.",
    ]
    return "\n\n".join(sections) + "\n"


def shareable(value: Any) -> Any:
    """JSON with local paths cut to their last part: where something lay on our disk is nobody's business."""
    if isinstance(value, Mapping):
        return {name: shareable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shareable(item) for item in value]
    if isinstance(value, str):
        prefix = "static:" if value.startswith("static:") else ""
        place = value.removeprefix(prefix)
        return f"{prefix}./{place.rstrip('/').rsplit('/', 1)[-1]}" if is_local(place) else value
    return value


def _front_matter(facts: Facts, model: ModelRef) -> str:
    """YAML whose values are JSON strings, so that no name can add a field."""
    transformer = facts.about["form"] != "static"
    fields: dict[str, Any] = {"base_model": model.source} if model.form == "hub" else {}
    if transformer:
        fields["library_name"] = "transformers"
    kind = "text-generation" if facts.about["form"] == WRITES else "text-classification"
    fields["tags"] = ["w2s", "weak-to-strong", kind, *(["lora"] if facts.learner.get("lora") else [])]
    fields["license"] = "unknown"
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---"])


_POOLED = {"last": "last token", "mean": "mean of the tokens", "cls": "first token"}


def _tuned(facts: Facts) -> str:
    """How it was finetuned, and as what."""
    writes = facts.about["form"] == WRITES
    apart = "" if writes else ", and alone in `adapter/`"
    how = (
        f"finetuned with LoRA (the adapters are merged into the weights{apart})"
        if facts.learner.get("lora")
        else "finetuned"
    )
    return f"{how} to write the answers (a causal language model)" if writes else f"{how} as a {_outputs(facts.about)}"


def _headed(about: Mapping[str, Any]) -> str:
    return "" if about["form"] == WRITES else f", with a linear head over the {_POOLED[about['pooling']]}"


def _outputs(about: Mapping[str, Any]) -> str:
    count = about["n_outputs"]
    return "scorer of candidates (one number a text)" if count == 1 else f"classifier of {count} classes"


def _data(facts: Facts) -> str:
    what = f"{_counted(facts)}the part `{_code(facts.part)}` of `{_code(facts.task)}`, seed {facts.seed}"
    return f"Learned from {what}. Labels: {_text(facts.labels)}."


def _counted(facts: Facts) -> str:
    """`1,234 rows of `, or how many of them it learned from and what became of the others."""
    if facts.rows is None:
        return ""
    long = facts.metrics.get("dropped", 0)
    kept, every = (
        facts.metrics.get("kept", facts.rows),
        facts.rows + long,
    )  # the receipt's `rows` are without those too long
    if kept == every:
        return f"{every:,} rows of "
    why = {"of weight 0": facts.rows - kept, f"longer than {facts.learner['max_tokens']} tokens": long}
    told = " and ".join(f"{count:,} {reason}" for reason, count in why.items() if count)
    return f"{kept:,} of {every:,} rows (left out: {told}) of "


def _weak_to_strong(facts: Facts) -> str:
    found = facts.recovery
    if found is None:
        return (
            "How much of the gap between supervisor and ceiling a student recovers (PGR) is a matter of three models, and not "
            "known to this one: `w2s report RECIPE` tells, and `w2s export RECIPE --to FOLDER` writes it here."
        )
    seeds = ", ".join(map(str, found.seeds)) or "none complete"
    rows = "" if found.n_test is None else f", {found.n_test:,} test rows"
    told = {"floor": found.floor, "transfer": found.transfer, "ceiling": found.ceiling, "PGR": found.pgr}
    return (
        f"Recipe `{_code(found.recipe)}`, method `{_code(found.method)}`, seeds {seeds}{rows}; accuracy, with 95% bootstrap "
        "intervals. PGR = (transfer - floor) / (ceiling - floor).\n\n" + _table(("", "mean [interval]"), told)
    )


def _table(head: tuple[str, str], rows: Mapping[str, Any], leave: tuple[str, ...] = ()) -> str:
    kept = {name: value for name, value in rows.items() if name not in leave}
    if not kept:
        return ""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_text(name)} | {_text(_short(value))} |" for name, value in kept.items())])


def _model(model: ModelRef, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that mean something for the model's form."""
    foreign = {"revision"} if model.form != "hub" else set()
    foreign |= {"width", "depth"} if model.form != "tiny" else set()
    return {name: shareable(value) for name, value in fields.items() if name not in foreign}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optim.lr": ...} of {"optim": {"lr": ...}}, without what was left open (null)."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        inner = _flat(item, f"{prefix}{name}.") if isinstance(item, Mapping) else {f"{prefix}{name}": item}
        found |= {path: leaf for path, leaf in inner.items() if leaf is not None}
    return found


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _text(value: str) -> str:
    """One line of plain text, whatever was in it."""
    return _line(value).translate(NOT_MARKUP)


def _code(value: str) -> str:
    return _line(value).replace("`", "'").replace("|", "/")


def _line(value: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _named(folder: Path, key: str) -> str:
    """The name of an input from its receipt; its key where there is none."""
    try:
        name: str = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"stage {key}"
    return f"{name} (stage {key[:12]})"
