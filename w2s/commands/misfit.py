"""`w2s misfit`: what each student should gain over its supervisor, without the truth; candidates ranked by it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.errors import BadInput
from cluster.store import Store
from w2s.commands import show
from w2s.load import read
from w2s.recipe import Recipe
from w2s.report.misfit import FIT, Misfits
from w2s.report.wanted import Wanted


@dataclass(frozen=True)
class Asked:
    """`slope`: what a student gains per misfit, or `fit`. `truth`: tell what the truth of the test rows says of it, too."""

    slope: float | str = 1.0
    truth: bool = False


def slope_of(text: str) -> float | str:
    """What `--slope` says. Raises BadInput for what is neither a number from 0 on nor `fit`."""
    if text == FIT:
        return FIT
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadInput(f"--slope {text}", "is neither a number from 0 on nor 'fit'", "for example --slope 0.5")
    return value


def misfit(reference: str, overrides: Sequence[str], store_url: str, form: str, asked: Asked) -> None:
    """Tell the misfits of a recipe on stdout. Reads the store only. Raises BadInput, and StageFailed for a damaged result."""
    wanted = Wanted(reference, tuple(overrides), read(reference, overrides))
    recipe, store = wanted.written.recipe, Store.open(store_url, create=False)
    found = make(recipe, store, asked)
    finish = wanted.command(store_url) if any(not store.has(key) for key in recipe.graph()) else None
    _tell(recipe, found, finish, form)


def make(recipe: Recipe, store: Store, asked: Asked | None = None) -> Misfits:
    """The misfits of a recipe as a value."""
    from w2s.report.gather import gather
    from w2s.report.misfit import foretell
    from w2s.report.misfit_gather import pairings

    asked = asked or Asked()
    if recipe.task.writes:
        raise BadInput(
            "misfit", f"needs class probabilities; task {recipe.task.told} has written answers", "take another task"
        )
    known = pairings(recipe, gather(recipe, store), store)
    needs_truth = asked.truth or asked.slope == FIT
    slope = asked.slope if any(pair.besides for pair in known.pairs) else 1.0
    try:
        found = foretell(known.ids, known.pairs, slope=slope, truth_N=known.truth_N if needs_truth else None)
    except ValueError as error:
        raise BadInput("--slope fit", str(error), "give a number") from None
    return found if asked.truth else unseen(found)


def unseen(found: Misfits) -> Misfits:
    """The same without what the truth tells of pairs and ranks: a slope may be fitted by it and the rest stay unasked."""
    lines = tuple(
        replace(line, truth=None, place=None if line.place is None else replace(line.place, true_rank=None))
        for line in found.lines
    )
    rankings = tuple(replace(one, best=None, spearman=None, regret=None) for one in found.rankings)
    return replace(found, lines=lines, rankings=rankings)


def _tell(recipe: Recipe, found: Misfits, finish: str | None, form: str) -> None:
    from w2s.report import misfit_sheets, render

    if form == "csv":
        sys.stdout.write(misfit_sheets.csv(found))
        return
    if form == "json":
        told = {"schema": 1, "recipe": recipe.name, "task": recipe.task.kind, **misfit_sheets.as_dict(found)}
        sys.stdout.write(
            json.dumps(told | ({} if finish is None else {"finish": finish}), indent=2, allow_nan=False) + "\n"
        )
        return
    tables = list(misfit_sheets.sheets(found))
    if finish is not None:
        tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, f"to do what is missing: {finish}"))
    title = f"{recipe.name}: gain predicted by misfit ({recipe.task.kind}: {recipe.weak.model.short} -> {recipe.strong.model.short})"
    if form == "md":
        sys.stdout.write(render.markdown_sheets("Misfit", title, tables))
    else:
        render.print_sheets(title, tables, show.console())
