"""A recipe that has a search, and what its trials have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.key import content_key
from cluster.store import Store
from w2s.load import Written, read
from w2s.recipe import Recipe
from w2s.search.config import Search
from w2s.search.space import Draw, assign, named


@dataclass(frozen=True)
class Searched:
    """A recipe with a search section, and the mapping it was made from (command-line overrides are in it)."""

    written: Written

    @property
    def recipe(self) -> Recipe:
        return self.written.recipe

    @property
    def data(self) -> dict[str, Any]:
        return self.written.data

    @cached_property
    def search(self) -> Search:
        """The search section. Raises BadInput where there is none."""
        found = self.recipe.search
        if found is None:
            what = "has no search section, so there is nothing to vary"
            remedy = "add one, as in search: {space: {method.alpha: {uniform: [0, 0.9]}}}; or use `w2s run`"
            raise BadInput(str(self.written.path), what, remedy)
        return found

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of every trial."""
        return self.search.seeds or self.recipe.seeds

    @cached_property
    def base(self) -> dict[str, Any]:
        """The recipe of every trial before its own values are set: without search and baselines. Not to be changed."""
        kept = {name: value for name, value in self.data.items() if name not in ("search", "baselines")}
        return {**kept, "seeds": list(self.seeds)}

    @cached_property
    def base_recipe(self) -> Recipe:
        """`base` as a recipe."""
        return Recipe.model_validate(self.base)

    def assign(self, draw: Draw) -> dict[str, Any]:
        """The space walked once; see `w2s.search.space.assign`. Raises its BadInput, with the line the field is on."""
        try:
            return assign(self.base, self.search.space, draw, Recipe)
        except BadInput as problem:
            pattern = problem.where.removeprefix(named(""))
            if pattern not in self.search.space:
                raise
            raise BadInput(self.where_searched(pattern), problem.what, problem.remedy) from None

    def where(self, field: str) -> str:
        """Where a field of the search is written, for an error: `toy.yaml:7: search.scheduler`."""
        return self.written.place(("search", field))

    def where_searched(self, pattern: str) -> str:
        """Where a path of the space is written."""
        return self.written.place(("search", "space", pattern))


def load_searched(reference: str, overrides: Sequence[str] = ()) -> Searched:
    """Read a recipe that must have a search. Raises BadInput; `check_search` looks further."""
    searched = Searched(read(reference, overrides))
    assert searched.search
    return searched


def search_folder(store: Store, searched: Searched) -> Path:
    """Where a search's table is: the same for the same recipe, objective and seeds, whatever the space and the number of trials."""
    search = searched.search
    more: dict[str, Any] = {"misfit_slope": search.misfit_slope} if search.objective == "misfit" else {}
    if search.algorithm == "pbt":
        more |= {"rounds": search.rounds}  # legs of another length are other legs
    judged = {"recipe": searched.base_recipe.fingerprint, "objective": search.objective, "seeds": list(searched.seeds)}
    return store.searches / f"{searched.recipe.name}-{content_key({**judged, **more})[:8]}"
