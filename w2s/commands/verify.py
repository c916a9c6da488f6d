"""`w2s verify`: every byte of the store against its receipts, or of an exported model against its manifest."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import EXIT_OK, EXIT_STAGE
from cluster.store import Store
from w2s.commands import show


def verify_export(folder: Path, *, as_json: bool) -> int:
    """Print what of an exported model is not as its manifest says. Returns 1 if anything is."""
    from w2s.work import manifest

    damages = manifest.check(folder)
    if as_json:
        show.as_json([{"key": d.key, "name": d.name, "file": d.file, "problem": d.problem} for d in damages])
        return EXIT_STAGE if damages else EXIT_OK
    console = show.console()
    for damage in damages:
        console.print(f"{folder / damage.file}: {damage.problem}", markup=False)
    if damages:
        show.console(err=True).print("export the model again: `w2s export` says how", markup=False)
        return EXIT_STAGE
    console.print(f"{len(manifest.read(folder)['files'])} files, each as {manifest.MANIFEST} says", markup=False)
    return EXIT_OK


def verify(store_url: str, *, quarantine: bool, as_json: bool) -> int:
    """Print what is damaged and what to do. Returns 1 if anything is."""
    store = Store.open(store_url, create=False)
    console, progress = show.console(), show.console(err=True)
    with progress.status("reading the store") as status:
        damages = store.verify(
            on_progress=lambda done, total: status.update(f"reading the store: {done}/{total} results")
        )
    if as_json:
        show.as_json([{"key": d.key, "name": d.name, "file": d.file, "problem": d.problem} for d in damages])
    elif not damages:
        count = len(list(store.keys()))
        console.print(f"{count} results, every file as its receipt says", markup=False)
    for damage in [] if as_json else damages:
        console.print(f"{damage.name} [{damage.key[:12]}]: {damage.file} {damage.problem}", markup=False)
    if damages and quarantine:
        for key in dict.fromkeys(damage.key for damage in damages):
            store.quarantine(key)
        progress.print(
            "moved aside; run the recipe again and these stages (and only these) are made anew", markup=False
        )
    elif damages:
        progress.print(
            "`w2s verify --quarantine` moves them aside; the next run makes these stages again", markup=False
        )
    return EXIT_STAGE if damages else EXIT_OK
