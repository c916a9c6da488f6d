"""`w2s check`: is this recipe legal, and every recipe that its search would make of it?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from w2s.commands import show
from w2s.load import read
from w2s.search.check import check_search, line, summary
from w2s.search.searched import Searched

WORTH_TELLING, TOLD_EVERY = 2_000, 100  # trials; a thousand take about a second


def check(reference: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Load and plan the recipe; prints a line. Raises BadInput for anything illegal."""
    written = read(reference, overrides)
    recipe = written.recipe
    searched = None if recipe.search is None else Searched(written)
    trials = 0 if searched is None else check_search(searched, _shown(as_json)).trials
    graph = recipe.graph()
    notes = unpinned(recipe.weak.model.form, recipe.weak.model.revision) + unpinned(
        recipe.strong.model.form, recipe.strong.model.revision
    )
    if as_json:
        show.as_json(
            {
                "recipe": recipe.name,
                "ok": True,
                "stages": len(graph),
                "methods": [m.label for m in recipe.methods],
                "notes": notes,
                **({} if searched is None else {"search": summary(searched, trials)}),
            }
        )
        return
    methods = ", ".join(method.label for method in recipe.methods)
    show.console().print(
        f"{recipe.name}: legal; {methods}; {len(recipe.seeds)} seeds, {len(graph)} stages", markup=False
    )
    if searched is not None:
        show.console().print(f"  {line(searched, trials)}", markup=False)
    for note in dict.fromkeys(notes):
        show.console().print(f"  note: {note}", markup=False)


def _shown(as_json: bool) -> Callable[[int, int], None]:
    """Progress on a terminal, where a search is large enough for somebody to wonder."""
    if as_json or not sys.stderr.isatty():
        return lambda done, total: None

    def told(done: int, total: int) -> None:
        if total >= WORTH_TELLING and (done % TOLD_EVERY == 0 or done == total):
            end = "\n" if done == total else ""
            sys.stderr.write(f"\rsearch: {done:,} of {total:,} trials looked at{end}")
            sys.stderr.flush()

    return told


def unpinned(form: str, revision: str) -> list[str]:
    """A hub model that may change under the same key."""
    if form == "hub" and revision == "main":
        return ["a hub model without a pinned revision may change under the same key: set model.revision to a commit"]
    return []
