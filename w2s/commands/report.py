"""`w2s report`: what the store holds of a recipe or several, as tables, data or a page."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.disk import told
from cluster.errors import BadInput, Problem
from cluster.store import Store
from w2s.commands import show
from w2s.load import read
from w2s.recipe import Recipe
from w2s.report.wanted import Wanted

if TYPE_CHECKING:
    from w2s.report.summary import Report

SUFFIXES = {".html": "html", ".md": "md", ".csv": "csv", ".json": "json", ".tex": "latex", ".txt": "table"}

PAGE = "report.html"


@dataclass(frozen=True)
class Asked:
    """What a report should have beside its table: `fixed` floor and ceiling, `diagnostics`, learning `curves`."""

    fixed: bool = False
    diagnostics: bool = False
    curves: bool = False


def report(
    arguments: Sequence[str],
    store_url: str,
    form: str | None = None,
    asked: Asked | None = None,
    out: Path | None = None,
) -> None:
    """Tell the report of some recipes on stdout, or write it to `out`, whose suffix decides the form where none is given.

    `arguments` are recipes, and overrides (with '=') that hold for all of them.
    """
    references, overrides = divided(arguments)
    form = form or _form_of(out)
    wanted = [Wanted(reference, tuple(overrides), read(reference, overrides)) for reference in references]
    store = Store.open(store_url, create=False)
    asked = asked or Asked()
    if form == "html":
        _tell(_page(wanted, store, store_url, asked), out)
        return
    values = [_finishing(make(one.written.recipe, store, asked), one, store_url) for one in wanted]
    if form == "table" and out is None:
        _print(values, wanted, store)
        return
    _tell(_text(values, form), out)


def divided(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Recipes and overrides. Raises BadInput without a recipe."""
    overrides = [one for one in arguments if "=" in one and not Path(one).is_file()]
    references = [one for one in arguments if one not in overrides]
    if not references:
        raise BadInput("command line", "no recipe is named", "for example `w2s report quickstart`")
    return references, overrides


def _form_of(out: Path | None) -> str:
    if out is None:
        return "table"
    if out.suffix not in SUFFIXES:
        raise BadInput(f"--out {out}", "its suffix names no form", f"end it in {', '.join(SUFFIXES)}, or give --format")
    return SUFFIXES[out.suffix]


def _page(wanted: Sequence[Wanted], store: Store, store_url: str, asked: Asked) -> str:
    from w2s.report.page.write import render

    return render(wanted, store, store_url, fixed=asked.fixed)


def _finishing(value: Report, wanted: Wanted, store_url: str) -> Report:
    """A report of what is not all there says what would do the rest."""
    missing = any(row.missing for row in value.rows)
    return replace(value, finish=wanted.command(store_url)) if missing else value


def _print(values: Sequence[Report], wanted: Sequence[Wanted], store: Store) -> None:
    from w2s.report import render

    console = show.console()
    for place, (value, one) in enumerate(zip(values, wanted, strict=True)):
        if place:
            console.print()
        render.terminal(value, console)
        _tell_search(one, store)


def _text(values: Sequence[Report], form: str) -> str:
    from w2s.report import render

    if form == "table":
        from rich.console import Console

        file = io.StringIO()
        for value in values:
            render.terminal(value, Console(file=file, width=show.PIPE_WIDTH))
        return file.getvalue()
    if form in ("csv", "json"):
        return render.csv(*values) if form == "csv" else render.json(*values)
    return "\n".join({"md": render.markdown, "latex": render.latex}[form](value) for value in values)


def _tell(text: str, out: Path | None) -> None:
    """On stdout, or whole into a file."""
    if out is None:
        sys.stdout.write(text)
        return
    from w2s.shown.frame import put

    if not out.parent.is_dir():
        raise BadInput(f"--out {out}", "there is no such folder", f"make it: mkdir -p {out.parent}")
    put(text, out, "report")
    show.console(err=True).print(f"written: {out}", markup=False)


def _tell_search(wanted: Wanted, store: Store) -> None:
    """Where the page of the recipe's search is, if it has one."""
    if wanted.written.recipe.search is None:
        return
    from w2s.search.ending import PAGE
    from w2s.search.searched import load_searched, search_folder

    page = search_folder(store, load_searched(wanted.reference, wanted.overrides)) / PAGE
    if page.is_file():
        show.console().print(f"its search: {page}", markup=False, soft_wrap=True)


def make(recipe: Recipe, store: Store, asked: Asked | None = None) -> Any:
    """The report of a recipe as a value."""
    from w2s.report.crowds import crowds_of
    from w2s.report.curves import curves
    from w2s.report.diagnostics import diagnose
    from w2s.report.gather import evidence, gather
    from w2s.report.misfit_gather import misfits
    from w2s.report.ranking import ranking
    from w2s.report.summary import summarise

    asked = asked or Asked()
    found = gather(recipe, store)
    value = summarise(found, fixed=asked.fixed)
    value = replace(value, ranking=ranking(found, value))
    value = replace(value, misfits=misfits(recipe, found, store))
    if asked.diagnostics and recipe.task.writes:
        what = f"need class probabilities; task {recipe.task.told} has written answers"
        raise BadInput("diagnostics", what, "ask for the report without them")
    if asked.diagnostics:
        value = replace(value, diagnoses=tuple(diagnose(one, value.level) for one in evidence(recipe, found, store)))
        value = replace(value, crowds=crowds_of(recipe, store))
    if asked.curves:
        value = replace(value, curves=curves(recipe, found, store))
    return value


@dataclass(frozen=True)
class Published:
    """A report, and the folder it was written to."""

    value: Any
    folder: Path

    @property
    def page(self) -> Path:
        """Where its page is, once it is drawn."""
        return self.folder / PAGE


def publish(wanted: Wanted, store: Store, store_url: str) -> Published:
    """Write a recipe's report beside the store: markdown, CSV and JSON."""
    from w2s.report import render

    recipe = wanted.written.recipe
    value = _finishing(make(recipe, store), wanted, store_url)
    folder = store.reports / f"{recipe.name}-{recipe.fingerprint}"
    texts = {"md": render.markdown(value), "csv": render.csv(value), "json": render.json(value)}
    with told(f"report of {recipe.name}", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            (folder / f"report.{suffix}").write_text(text, encoding="utf-8")
    return Published(value, folder)


def draw(wanted: Wanted, published: Published, store: Store, store_url: str) -> str:
    """Write the page of a recipe's report. Returns why that could not be done, else ""."""
    try:
        from w2s.report.page.write import write_page

        write_page([wanted], store, store_url, published.page)
    except Exception as error:  # what is shown may not stop what was run: the numbers are written already
        why = error if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
        return f"the report has no page: {why}"
    return ""
