"""`w2s gc`: keep what the named recipes reach, delete the rest."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.store import Store
from w2s.commands import show
from w2s.load import read
from w2s.search.kept import kept
from w2s.search.searched import Searched


def gc(references: Sequence[str], store_url: str, *, dry_run: bool, as_json: bool) -> None:
    """Delete results (and old scratch) that no named recipe reaches, nor a trial of its searches. Live leases protect what runs."""
    store = Store.open(store_url, create=False)
    keep: set[str] = set()
    for reference in references:
        written = read(reference)
        keep |= set(written.recipe.graph())
        if written.recipe.search is not None:
            keep |= kept(Searched(written), store)
    report = store.gc(keep, dry_run=dry_run)
    if as_json:
        show.as_json({"dry_run": dry_run, **vars(report)})
        return
    verb = "would delete" if dry_run else "deleted"
    show.console().print(
        f"{verb} {len(report.results)} results and {len(report.scratch)} scratch folders, {report.bytes_freed / 1e6:,.1f} MB; "
        f"{len(keep)} stages of {len(references)} recipes are kept",
        markup=False,
    )
