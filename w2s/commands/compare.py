"""`w2s compare`: what differs between two recipes and between their results."""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.files import shown
from cluster.store import Store
from w2s.commands import show
from w2s.load import read
from w2s.report.wanted import Wanted


def compare(a: str, b: str, store_url: str, store_b_url: str | None, form: str) -> None:
    """Print a comparison as a terminal table, markdown or JSON. `RECIPE@STORE` names a store of its own."""
    from w2s.report import compare as room
    from w2s.report import compared, render

    reference_a, url_a = _divided(a, store_url)
    reference_b, url_b = _divided(b, store_b_url or store_url)
    stores = [Store.open(url, create=False) for url in (url_a, url_b)]
    sides = []
    for told, reference, url, store in zip((a, b), (reference_a, reference_b), (url_a, url_b), stores, strict=True):
        wanted = Wanted(reference, (), read(reference))
        recipe = wanted.written.recipe
        missing = sum(not store.has(key) for key in recipe.graph())
        sides.append(room.Side(told, recipe, shown(url), missing, wanted.command(url) if missing else ""))
    found = room.compare(sides[0], sides[1], *stores)
    if form == "json":
        sys.stdout.write(compared.json(found))
    elif form == "md":
        sys.stdout.write(render.markdown_sheets("Comparison", compared.title(found), compared.sheets(found)))
    else:
        render.print_sheets(compared.title(found), compared.sheets(found), show.console())


def _divided(text: str, store_url: str) -> tuple[str, str]:
    """A recipe and the store it names after an @, if it names one; a file of that whole name comes first."""
    reference, sign, url = text.partition("@")
    return (text, store_url) if Path(text).is_file() or not (sign and reference and url) else (reference, url)
