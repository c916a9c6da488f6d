"""`w2s fetch`: bring data and models from their registries into the cache, before a run or before leaving the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from w2s import assets, bridge, hub, registry
from w2s.assets import model_folder, static_files
from w2s.commands import show
from w2s.hub import HubTaskConfig
from w2s.learner import ModelRef
from w2s.load import load
from w2s.nested import held_by
from w2s.recipe import Recipe
from w2s.stages import Adapt, Embed, Prompted, Rows, Stage
from w2s.task import TaskConfig


def fetch(reference: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Fetch everything a recipe needs; prints where it lies."""
    recipe = load(reference, overrides)
    console = show.console(err=True)
    found: list[dict[str, str]] = []
    for what, place in ensure(recipe, recipe.graph().values(), lambda text: console.print(text, markup=False)):
        found.append({"what": what, "path": place})
    if as_json:
        show.as_json(found)
    else:
        for item in found:
            show.console().print(f"{item['what']}: {item['path']}", markup=False)


def pin(source: str, *, as_json: bool) -> None:
    """Fetch a pip: source whatever its content, and print the digest to write into a recipe."""
    place = assets.fetch(
        source.removeprefix("static:"), None, on_progress=lambda line: show.console(err=True).print(line)
    )
    digest = assets.digest(place)
    if as_json:
        show.as_json({"source": source, "sha256": digest, "path": str(place)})
    else:
        show.console().print(f"sha256: {digest}", markup=False)


def ensure(recipe: Recipe, stages: Iterable[Stage], tell: Any) -> Iterable[tuple[str, str]]:
    """Fetch what these stages need (nothing if it is there). Yields what and where. Raises BadInput or BadEnvironment."""
    stages = list(stages)
    if any(isinstance(stage, Rows) for stage in stages):
        place = _data(recipe.task, tell)
        if place is not None:
            yield f"task {recipe.task.kind}", place
    for model in dict.fromkeys([*(learner.model for learner in bridge.models(stages)), *_asked(stages)]):
        if model.form not in ("tiny", "features"):
            tell(f"model {model.source} ...")
            yield model.source, ", ".join(str(path) for path in _place(model))


def _asked(stages: Iterable[Stage]) -> Iterable[ModelRef]:
    """Models that stages read or ask and none of them trains as a classifier."""
    for stage in stages:
        if isinstance(stage, Adapt):
            yield stage.learner.model
        elif isinstance(stage, Embed | Prompted):
            yield stage.model


def _data(task: TaskConfig, tell: Any) -> str | None:
    """Where a task's data lie once they are here; None for a task that fetches none."""
    held = held_by(task)
    if held:  # its rows are other tasks'
        return ", ".join(dict.fromkeys(filter(None, (_data(one, tell) for one in held)))) or None
    own = getattr(registry.module("tasks", task.kind), "fetch", None)
    bring: Any = own or (hub.fetch if isinstance(task, HubTaskConfig) else None)
    if bring is None:
        return None
    tell(f"data of task {task.kind} ...")
    return str(bring(task))


def _place(model: ModelRef) -> Sequence[object]:
    return static_files(model) if model.form == "static" else [model_folder(model)]
