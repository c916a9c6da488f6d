"""`w2s report`: the table of a recipe, from what the store holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.disk import told
from cluster.errors import BadInput
from cluster.store import Store
from w2s.commands import show
from w2s.load import load
from w2s.recipe import Recipe


@dataclass(frozen=True)
class Asked:
    """What a report should have beside its table: `fixed` floor and ceiling, `diagnostics`, learning `curves`."""

    fixed: bool = False
    diagnostics: bool = False
    curves: bool = False


def report(reference: str, overrides: Sequence[str], store_url: str, form: str, asked: Asked | None = None) -> None:
    """Print a recipe's report as a terminal table, markdown, CSV, JSON or LaTeX."""
    from w2s.report import render

    recipe = load(reference, overrides)
    value = make(recipe, Store.open(store_url, create=False), asked)
    if form == "table":
        render.terminal(value, show.console())
        _tell_search(reference, overrides, recipe, store_url)
        return
    forms = {"md": render.markdown, "csv": render.csv, "json": render.json, "latex": render.latex}
    sys.stdout.write(forms[form](value))


def _tell_search(reference: str, overrides: Sequence[str], recipe: Recipe, store_url: str) -> None:
    """Where the page of the recipe's search is, if it has one."""
    if recipe.search is None:
        return
    from w2s.search.ending import PAGE
    from w2s.search.searched import load_searched, search_folder

    page = search_folder(Store.open(store_url, create=False), load_searched(reference, overrides)) / PAGE
    if page.is_file():
        show.console().print(f"its search: {page}", markup=False, soft_wrap=True)


def make(recipe: Recipe, store: Store, asked: Asked | None = None) -> Any:
    """The report of a recipe as a value."""
    from w2s.report.curves import curves
    from w2s.report.diagnostics import diagnose
    from w2s.report.gather import evidence, gather
    from w2s.report.summary import summarise

    asked = asked or Asked()
    found = gather(recipe, store)
    value = summarise(found, fixed=asked.fixed)
    if asked.diagnostics and recipe.task.writes:
        what = f"need class probabilities; task {recipe.task.told} has written answers"
        raise BadInput("diagnostics", what, "ask for the report without them")
    if asked.diagnostics:
        value = replace(value, diagnoses=tuple(diagnose(one, value.level) for one in evidence(recipe, found, store)))
    if asked.curves:
        value = replace(value, curves=curves(recipe, found, store))
    return value


def publish(recipe: Recipe, store: Store) -> tuple[Any, Path]:
    """Write a recipe's report beside the store as markdown, CSV and JSON. Returns the report and its folder."""
    from w2s.report import render

    value = make(recipe, store)
    folder = store.reports / f"{recipe.name}-{recipe.fingerprint}"
    texts = {"md": render.markdown(value), "csv": render.csv(value), "json": render.json(value)}
    with told(f"report of {recipe.name}", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            (folder / f"report.{suffix}").write_text(text, encoding="utf-8")
    return value, folder
