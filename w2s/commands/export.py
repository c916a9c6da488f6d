"""`w2s export`: a trained model as a folder of one's own, with a card that tells what the whole recipe found.

The store is only read: models are copied, their digests checked on the way.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cluster.disk import told
from cluster.errors import BadInput, StageFailed
from cluster.key import file_sha256
from cluster.store import Store
from w2s import bridge
from w2s.commands import show
from w2s.load import load
from w2s.method import MethodConfig
from w2s.recipe import Recipe
from w2s.stages import Combine, Generate, Labels, Predict, Prompted, Train, Write, walk
from w2s.work.manifest import MANIFEST, What, manifest, write

if TYPE_CHECKING:
    from w2s.work.card import Recovery

MODEL = "model"  # where a training stage keeps it
ABOUT = "w2s.json"
KEY_SHOWN = 12
Trained: TypeAlias = Train | Write
"""A stage whose result holds a whole model."""


@dataclass(frozen=True)
class Wanted:
    """Which model: a side of a method and seed (None: the recipe's first), or the stage whose key begins so."""

    side: str = "transfer"
    method: str | None = None
    seed: int | None = None
    stage: str | None = None


def export(
    reference: str, overrides: Sequence[str], store_url: str, to: Path, wanted: Wanted, *, as_json: bool
) -> None:
    """Copy a model to `to` (new, or empty) and complete its card.

    Raises BadInput for a model the recipe does not have or a folder that is taken, StageFailed where the store lacks it
    or holds it damaged.
    """
    recipe = load(reference, overrides)
    store = Store.open(store_url, create=False)
    method, train = choose(recipe, wanted)
    if not store.has(train.key):
        raise StageFailed(bridge.name(train), f"is not in the store {store.url}", f"`w2s run {reference}` makes it")
    recovery = _recovery(recipe, store, method)
    with told(f"export to {to}", to):
        what = What(recipe.name, recipe.fingerprint, method.label, train.seed, None if wanted.stage else wanted.side)
        commands = {
            "trained": ["w2s", "run", reference, *overrides],
            "exported": _command(reference, overrides, wanted),
        }
        record = manifest(train, what, store, recovery, commands)
        size = _copy(store, train, to, recovery, record)
    if as_json:
        facts = {"recipe": recipe.name, "key": train.key, "name": bridge.name(train), "folder": str(to), "bytes": size}
        show.as_json({**facts, "recovery": asdict(recovery)})
        return
    console = show.console()
    console.print(f"{bridge.name(train)} [{train.key[:KEY_SHOWN]}]: {size / 1e6:,.1f} MB in {to}", markup=False)
    console.print(
        f"PGR {recovery.pgr}; README.md there says how to load it, {MANIFEST} what it is made of", markup=False
    )


def _command(reference: str, overrides: Sequence[str], wanted: Wanted) -> list[str]:
    """What exports it, but for the places on this machine."""
    chosen = {"--side": None if wanted.stage else wanted.side, "--method": wanted.method, "--stage": wanted.stage}
    options = [word for flag, value in chosen.items() if value is not None for word in (flag, value)]
    seed = [] if wanted.seed is None else ["--seed", str(wanted.seed)]
    return ["w2s", "export", reference, *overrides, *options, *seed]


def choose(recipe: Recipe, wanted: Wanted) -> tuple[MethodConfig, Trained]:
    """The method to report on and the model to copy. Raises BadInput with what there is."""
    method = _method(recipe, wanted.method)
    if wanted.stage is not None:
        return _by_key(recipe, method, wanted.stage)
    seed = recipe.seeds[0] if wanted.seed is None else wanted.seed
    if seed not in recipe.seeds:
        raise BadInput("--seed", f"{seed} is none of this recipe's", f"there are: {', '.join(map(str, recipe.seeds))}")
    sides = recipe.outcomes[method][seed].sides()
    if wanted.side not in sides:
        there = " or ".join(f"--side {side}" for side in sides)
        raise BadInput(f"--side {wanted.side}", f"method {method.label} makes none", f"take {there}")
    models = _behind(sides[wanted.side].labels)
    if len(models) > 1:
        raise BadInput(
            f"--side {wanted.side}", f"{len(models)} models together", f"name one by --stage: {_listed(models)}"
        )
    return method, models[0]


def _method(recipe: Recipe, name: str | None) -> MethodConfig:
    if name is None:
        return recipe.method
    found = [method for method in recipe.methods if name in (method.kind, method.label)]
    if not found:
        there = "; ".join(method.label for method in recipe.methods)
        raise BadInput("--method", f"no method '{name}' in this recipe", f"there are: {there}")
    return found[0]


def _by_key(recipe: Recipe, method: MethodConfig, prefix: str) -> tuple[MethodConfig, Trained]:
    trained = [stage for stage in recipe.graph().values() if isinstance(stage, Train | Write)]
    found = [stage for stage in trained if stage.key.startswith(prefix)]
    if len(found) != 1:
        what = f"{len(found)} training stages of this recipe have a key that begins with '{prefix}'"
        raise BadInput("--stage", what, f"there are: {_listed(found or trained)}")
    [train] = found
    # the method asked for if the model has a part in it, else the first in which it has
    owners = [
        each
        for each in (method, *recipe.methods)
        if train.key in walk(*(stage for outcome in recipe.outcomes[each].values() for stage in outcome.stages()))
    ]
    return owners[0], train


def _behind(labels: Labels) -> list[Trained]:
    """The models whose verdict the labels are. Raises BadInput for a verdict that no finetuned model gave."""
    if isinstance(labels, Combine):
        return [model for each in labels.labels for model in _behind(each)]
    if isinstance(labels, Prompted):
        what = f"there are no weights to export: {labels.model.short} was asked as it is, nothing was trained"
        remedy = (
            f"load {labels.model.source} itself and ask it as question.txt in the folder of stage "
            f"{labels.key[:KEY_SHOWN]} shows; or export a side that was trained, as --side ceiling"
        )
        raise BadInput("export", what, remedy)
    if isinstance(labels, Generate):
        return [labels.model]
    if not (isinstance(labels, Predict) and isinstance(labels.model, Train)):
        what = f"{labels.words} comes from no finetuned model"
        raise BadInput("export", what, "a probe's head is head.safetensors in its own folder of the store")
    return [labels.model]


def _listed(stages: Sequence[Trained]) -> str:
    shown = stages[:8]
    more = ", ..." if len(stages) > len(shown) else ""
    return ", ".join(f"{stage.key[:KEY_SHOWN]} ({bridge.name(stage)})" for stage in shown) + more


def _recovery(recipe: Recipe, store: Store, method: MethodConfig) -> Recovery:
    from w2s.commands.report import make
    from w2s.report.render import cells
    from w2s.work.card import Recovery

    report = make(recipe, store)
    row = report.rows[recipe.methods.index(method)]
    name, floor, transfer, ceiling, pgr, *_ = cells(row)
    return Recovery(recipe.name, name, row.seeds, report.n_test, floor, transfer, ceiling, pgr)


def _copy(store: Store, train: Trained, to: Path, recovery: Recovery, record: Mapping[str, Any]) -> int:
    """Everything of the model into a folder beside `to`, then renamed: `to` is there whole, or not at all."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput(f"--to {to}", "is there already", "name a new folder, or empty this one")
    from w2s.work import card

    receipt = store.receipt(train.key)
    source = store.path(train.key)
    names = [name for name in receipt.files if name.startswith(f"{MODEL}/")]
    part = to.absolute().parent / f".{to.absolute().name}.part-{os.getpid()}"
    try:
        for name in names:
            place = part / name.removeprefix(f"{MODEL}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, place)
            if file_sha256(place) != receipt.files[name]["sha256"]:
                raise StageFailed(
                    receipt.name, f"{name} changed since it was made", "`w2s verify --quarantine`, run again"
                )
        about = json.loads((part / ABOUT).read_text(encoding="utf-8"))
        (part / ABOUT).write_text(json.dumps(card.shareable(about), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        card.write(part, _facts(train, about, receipt.metrics, receipt.versions, recovery))
        write(part, record)
        if to.exists():
            to.rmdir()
        part.rename(to)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sum(file.stat().st_size for file in to.rglob("*") if file.is_file())


def _facts(train: Trained, about: Any, metrics: Any, versions: Any, recovery: Recovery) -> Any:
    from w2s.work.card import Facts

    return Facts(
        name=bridge.name(train),
        key=train.key,
        task=bridge.task_of(train),
        part=train.rows.name,
        rows=metrics.get("rows"),
        labels="ground truth" if train.labels is None else bridge.name(train.labels),
        seed=train.seed,
        learner=train.learner.dump(),
        loss=train.loss.dump(),
        about=about,
        metrics=metrics,
        versions=versions,
        recovery=recovery,
    )
