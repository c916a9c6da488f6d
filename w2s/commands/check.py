"""`w2s check`: is this recipe legal?"""

from __future__ import annotations

from collections.abc import Sequence

from w2s.commands import show
from w2s.load import load


def check(reference: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Load and plan the recipe; prints a line. Raises BadInput for anything illegal."""
    recipe = load(reference, overrides)
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
            }
        )
        return
    methods = ", ".join(method.label for method in recipe.methods)
    show.console().print(
        f"{recipe.name}: legal; {methods}; {len(recipe.seeds)} seeds, {len(graph)} stages", markup=False
    )
    for note in dict.fromkeys(notes):
        show.console().print(f"  note: {note}", markup=False)


def unpinned(form: str, revision: str) -> list[str]:
    """A hub model that may change under the same key."""
    if form == "hub" and revision == "main":
        return ["a hub model without a pinned revision may change under the same key: set model.revision to a commit"]
    return []
