"""From a recipe to an order: which recipes its elements run, and how large a cluster they need. Pure; nothing is written here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from cluster.errors import BadInput
from cluster.job import Job
from cluster.key import content_key
from cluster.submit.order import RAY_ADDRESS, Backend, Command, Order, Size
from cluster.submit.site import Site
from w2s import bridge
from w2s.load import Written
from w2s.recipe import Recipe
from w2s.search.searched import Searched

Over = Literal["seeds", "methods"]
RECIPES = "recipes"
HASH = 8


@dataclass(frozen=True)
class Asked:
    """What the user asked for; None and 0 leave it to the recipe and the site."""

    backend: Backend
    tune: bool = False
    extend: int = 0
    over: Over | None = None  # what the elements of an array differ by
    pack: int = 1  # elements that share one cluster
    throttle: int = 0
    dependency: str = ""
    nodes: int | None = None
    gpus: int | None = None  # a node
    cpus: int | None = None  # a node
    memory_mib: int | None = None  # a node
    time_s: int | None = None


@dataclass(frozen=True)
class Element:
    """One recipe of an order: its name among the others, and itself."""

    name: str
    recipe: Recipe

    @property
    def text(self) -> str:
        """The recipe as YAML, overrides and absolute paths in it: the same keys wherever it is read."""
        data = self.recipe.model_dump(mode="json", exclude_unset=True)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


@dataclass(frozen=True)
class Plan:
    """An order to be, without its place: `base` names the work, and the order's id is that and a number."""

    base: str
    elements: tuple[Element, ...]
    asked: Asked
    size: Size
    environment: Mapping[str, str] = field(default_factory=dict)

    def order(self, number: int, folder: Path, store: str, reference: str) -> Order:
        """The order, in a folder of its own: `folder` / id. The `number` tells it from earlier ones of the same work."""
        identity = f"{self.base}.{number}"
        home = folder / identity
        commands = [
            Command(element.name, self._argv(home / RECIPES / f"{index}.yaml", store))
            for index, element in enumerate(self.elements)
        ]
        packs = tuple(tuple(commands[at : at + self.asked.pack]) for at in range(0, len(commands), self.asked.pack))
        return Order(
            identity, self.asked.backend, str(home), store, reference, packs,
            size=self.size, dependency=self.asked.dependency, throttle=self.asked.throttle, environment=self.environment,
        )  # fmt: skip

    def _argv(self, recipe: Path, store: str) -> tuple[str, ...]:
        verb = "tune" if self.asked.tune else "run"
        more = ("--extend", str(self.asked.extend)) if self.asked.extend else ()
        return ("-m", "w2s", verb, str(recipe), "--store", store, "--ray-address", RAY_ADDRESS, "--plain", *more)


def plan(written: Written, site: Site, asked: Asked, environment: Mapping[str, str] | None = None) -> Plan:
    """What to order for a recipe. Raises BadInput for flags that do not go together or with the recipe."""
    _check(written, asked)
    elements = elements_of(written.recipe, asked.over)
    recipes = [Searched(written).base_recipe] if asked.tune else [element.recipe for element in elements]
    jobs = [job for recipe in recipes for job in bridge.jobs(recipe).values()]
    verb = ("tune", asked.extend) if asked.tune else ("run",)
    work = {"goals": [recipe.fingerprint for recipe in recipes], "verb": verb, "pack": asked.pack, "to": asked.backend}
    base = f"{written.recipe.name[:40]}-{content_key(work)[:HASH]}"
    return Plan(base, elements, asked, size_of(jobs, site, asked), environment or {})


def elements_of(recipe: Recipe, over: Over | None) -> tuple[Element, ...]:
    """One recipe, or one for each seed or method. Those share whatever stages they have in common, through the store."""
    if over == "seeds":
        return tuple(Element(f"seed {seed}", _with(recipe, seeds=(seed,))) for seed in recipe.seeds)
    if over == "methods":
        return tuple(Element(method.label, _with(recipe, method=method, baselines=())) for method in recipe.methods)
    return (Element(recipe.name, recipe),)


def size_of(jobs: Sequence[Job], site: Site, asked: Asked) -> Size:
    """A cluster that holds the largest job, as whole nodes of the site. Raises BadInput where no node holds what it needs.

    More nodes than that make independent stages run side by side; fewer could not run the job at all.
    """
    a_node = site.gpus_per_node if asked.gpus is None else asked.gpus
    nodes, gpus, cpus = asked.nodes or 1, 0, 1.0
    for job in jobs:
        wanted = job.resources
        ranks = max(1, wanted.ranks)
        each_gpu = wanted.gpus if a_node else 0.0
        if not a_node and not wanted.gpu_optional and wanted.gpus:
            raise BadInput(
                "--gpus",
                f"{job.name} needs GPUs, and a node has none",
                "say how many: --gpus 8, or gpus_per_node in the site file",
            )
        spread = max(wanted.nodes or 1, asked.nodes or _nodes_for(ranks, each_gpu, wanted.cpus, a_node, site, asked))
        nodes = max(nodes, spread)
        on_a_node = math.ceil(ranks / (wanted.nodes or spread))
        gpus = max(gpus, math.ceil(on_a_node * each_gpu))
        cpus = max(cpus, on_a_node * wanted.cpus)
    if asked.nodes is not None and nodes > asked.nodes:
        raise BadInput(
            "--nodes",
            f"{asked.nodes} cannot hold machines.*.nodes: {nodes}",
            "ask for more nodes, or set machines.strong.nodes lower",
        )
    if a_node and gpus > a_node:
        raise BadInput(
            "--gpus",
            f"{gpus} a node are needed and a node has {a_node}",
            "ask for more nodes, or set machines.strong.devices lower",
        )
    return Size(
        nodes,
        gpus=(a_node if site.exclusive else gpus) if asked.gpus is None else asked.gpus,
        cpus=asked.cpus or site.cpus_per_node or max(1, math.ceil(cpus)),
        memory_mib=asked.memory_mib or site.memory_per_node_mib,
        time_s=asked.time_s or site.time_limit_s,
    )


def _nodes_for(ranks: int, gpus: float, cpus: float, a_node: int, site: Site, asked: Asked) -> int:
    """As few nodes as hold so many ranks."""
    rooms = [ranks]
    if gpus:
        rooms.append(int(a_node / gpus))
    a_node_cpus = asked.cpus or site.cpus_per_node
    if a_node_cpus:
        rooms.append(int(a_node_cpus / cpus))
    if min(rooms) < 1:
        what = f"a rank needs {cpus:g} cores and {gpus:g} GPUs, and a node has {a_node_cpus or 'enough'} and {a_node}"
        raise BadInput("--cpus", what, "ask for larger nodes, or set machines.strong.cpus lower")
    return math.ceil(ranks / min(rooms))


def _with(recipe: Recipe, **changes: Any) -> Recipe:
    changed = recipe.model_copy(update=changes)  # fields were validated already; what was set is remembered for `text`
    return Recipe.model_validate(changed.model_dump(mode="json", exclude_unset=True))


def _check(written: Written, asked: Asked) -> None:
    if asked.tune:
        _ = Searched(written).search
        if asked.over:
            raise BadInput("--array", "a search is one job: its trials share their stages", "leave --array out")
    elif asked.extend:
        raise BadInput("--extend", "is for searches", "add --tune")
    if asked.pack > 1 and asked.over is None:
        raise BadInput("--pack", "is for arrays", "add --array seeds or --array methods")
    if asked.throttle and asked.over is None:
        raise BadInput("--throttle", "is for arrays", "add --array seeds or --array methods")
    if asked.backend == "ray" and asked.dependency:
        raise BadInput(
            "--dependency", "is Slurm's: a Ray job starts when it is submitted", "leave it out, or use --to slurm"
        )
