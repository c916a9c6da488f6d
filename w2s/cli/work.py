"""`w2s check | plan | run | tune`: a recipe, on this machine or a cluster that is there."""

from __future__ import annotations

from typing import Annotated

import typer

from w2s.cli.words import JsonFlag, Overrides, PoolKind, RecipeArg, StoreFlag, app, help_of


@app.command(help=help_of("Validate recipes without loading a model. Says where, what, and what is allowed.", "check"))
def check(recipe: RecipeArg, overrides: Overrides = None, json: JsonFlag = False) -> None:
    from w2s.commands.check import check as work

    work(recipe, overrides or [], as_json=json)


@app.command(
    help=help_of(
        "Show the graph: what the store holds, what would run, roughly for how long, on how much memory.", "plan"
    )
)
def plan(
    recipe: RecipeArg,
    overrides: Overrides = None,
    store: StoreFlag = "store",
    device_memory: Annotated[
        str | None, typer.Option(help="What a device has, like 80GB. Default: this machine's GPU, or its share of RAM.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.plan import plan as work

    work(recipe, overrides or [], store, device_memory=device_memory, as_json=json)


@app.command(help=help_of("Run what is missing, then print the table. Running it again is always the remedy.", "run"))
def run(
    recipe: RecipeArg,
    overrides: Overrides = None,
    store: StoreFlag = "store",
    pool: Annotated[
        PoolKind, typer.Option(help="ray: a cluster, local by default; inline: this process, for debugging.")
    ] = PoolKind.ray,
    ray_address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster: HOST:PORT, or auto. Default: start one here.")
    ] = None,
    dashboard: Annotated[bool, typer.Option(help="Start Ray's dashboard on loopback (local cluster only).")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines instead of a live display.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and errors.")] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.at_work import Choices
    from w2s.commands.run import run as work

    choices = Choices(store, pool.value, ray_address, dashboard, plain, quiet, json)
    raise typer.Exit(work(recipe, overrides or [], choices))


@app.command(
    help=help_of(
        "Search a recipe's `search:` section. Trials share their stages; the same command goes on where it was stopped.",
        "tune",
    )
)
def tune(
    recipe: RecipeArg,
    overrides: Overrides = None,
    store: StoreFlag = "store",
    pool: Annotated[
        PoolKind,
        typer.Option(help="ray: a cluster, local by default; inline: this process, where no trial ends early."),
    ] = PoolKind.ray,
    ray_address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster: HOST:PORT, or auto. Default: start one here.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a search that must have begun.")] = False,
    extend: Annotated[
        int,
        typer.Option(
            "--extend", metavar="N", help="N trials beyond search.trials; those stopped early are judged again."
        ),
    ] = 0,
    dashboard: Annotated[bool, typer.Option(help="Start Ray's dashboard on loopback (local cluster only).")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines instead of a live display.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and errors.")] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.at_work import Choices
    from w2s.commands.tune import Asked
    from w2s.commands.tune import tune as work

    choices = Choices(store, pool.value, ray_address, dashboard, plain, quiet, json)
    raise typer.Exit(work(recipe, overrides or [], choices, Asked(resume, extend)))
