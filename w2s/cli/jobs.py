"""`w2s submit | status | logs | cancel`: recipes handed to batch systems, and what runs by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from w2s.cli.words import Batch, JobOrRecipe, JsonFlag, Over, Overrides, RecipeArg, StoreFlag, app, help_of


@app.command(
    help=help_of(
        "Hand a recipe to Slurm or to a Ray cluster. After pre-emption or its time limit it goes on.", "submit"
    )
)
def submit(
    recipe: RecipeArg,
    overrides: Overrides = None,
    to: Annotated[Batch, typer.Option("--to", help="Which batch system.")] = Batch.slurm,
    store: Annotated[
        str | None,
        typer.Option("--store", envvar="W2S_STORE", help="Seen by every node. Default: the site's, else ./store."),
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="Default: $W2S_SITE, else ~/.config/w2s/site.yaml.", metavar="FILE")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Default: as few as hold the largest stage.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="A node's. Default: the site's.")] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="A node's. Default: the site's, else what the recipe needs.")
    ] = None,
    mem: Annotated[str | None, typer.Option(help="A node's, like 64GB. Default: the site's, else all of it.")] = None,
    time: Annotated[str | None, typer.Option(help="Limit, like 4:00:00 or 90m. Default: the site's.")] = None,
    array: Annotated[Over | None, typer.Option(help="An element for each seed, or each method of the recipe.")] = None,
    pack: Annotated[int, typer.Option(min=1, help="Elements that share one cluster, side by side.")] = 1,
    throttle: Annotated[int, typer.Option(min=0, help="Elements at a time; 0: as many as fit.")] = 0,
    dependency: Annotated[str, typer.Option(help="Slurm's, like afterok:1234.")] = "",
    tune: Annotated[bool, typer.Option("--tune", help="Do the recipe's search, as `w2s tune` does.")] = False,
    extend: Annotated[int, typer.Option(min=0, metavar="N", help="With --tune: N trials more.")] = 0,
    address: Annotated[str | None, typer.Option(help="The Ray cluster's dashboard, like http://head:8265.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script; submit nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Ask Slurm; look at memory, time, grace and store; submit nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Although the same work waits or runs already.")] = False,
    fetch: Annotated[bool, typer.Option(help="Data and models, here and first: nodes may have no network.")] = True,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.submit import How
    from w2s.commands.submit import submit as work
    from w2s.submission import Asked
    from w2s.units import mebibytes, seconds

    asked = Asked(
        to.value, tune, extend, array.value if array else None, pack, throttle, dependency, nodes, gpus, cpus,
        None if mem is None else mebibytes("--mem", mem), None if time is None else seconds("--time", time),
    )  # fmt: skip
    how = How(site, address, dry_run, check, again, fetch, json)
    raise typer.Exit(work(recipe, overrides or [], store, asked, how))


@app.command(
    help=help_of(
        "Jobs and local runs: where they are, what runs, how long it may take. Of a recipe, each stage: there, running, missing.",
        "status",
    )
)
def status(
    target: JobOrRecipe = None,
    overrides: Overrides = None,
    store: StoreFlag = "store",
    all_: Annotated[bool, typer.Option("--all", help="Also what was over a day ago.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Again and again, until all of it is over.")] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.status import Asked
    from w2s.commands.status import status as work

    work(target, overrides or [], store, Asked(all_, follow, json))


@app.command(
    help=help_of("What a job's drivers print, or a stage's log. Unasked: the log of what failed, or else runs.", "logs")
)
def logs(
    target: JobOrRecipe = None,
    store: StoreFlag = "store",
    stage: Annotated[
        str | None, typer.Option(help="A stage's log: its name, a part of it, or the beginning of its key.")
    ] = None,
    element: Annotated[int | None, typer.Option(help="Of an array: which element. Default: all.")] = None,
    lines: Annotated[int, typer.Option(min=0, help="The last so many of each file; 0: all.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And what is added, until the job is over.")] = False,
) -> None:
    from w2s.commands.logs import Asked
    from w2s.commands.logs import logs as work

    work(target, store, Asked(stage, element, lines, follow))


@app.command(
    help=help_of("End a job; a local run saves where it is and leaves, from whatever machine it is asked.", "cancel")
)
def cancel(
    job: Annotated[str, typer.Argument(help="As `w2s status` lists them; the beginning is enough.", metavar="JOB")],
    store: StoreFlag = "store",
    json: JsonFlag = False,
) -> None:
    from w2s.commands.cancel import cancel as work

    work(job, store, as_json=json)
