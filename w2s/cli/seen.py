"""`w2s report | compare | misfit | board | export`: what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2s.cli.words import Compared, Format, JsonFlag, Misfitted, Overrides, RecipeArg, Side, StoreFlag, app, help_of


@app.command(
    help=help_of(
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
    help=help_of("What differs between two recipes, and between their results, with its significance.", "compare")
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
    help=help_of(
        "What each student should gain over its supervisor, without the truth: supervisors ranked by loss less misfit.",
        "misfit",
    )
)
def misfit(
    recipe: RecipeArg,
    overrides: Overrides = None,
    store: StoreFlag = "store",
    slope: Annotated[
        str,
        typer.Option(
            help="Gain per misfit: 1 in theory, .25 to .75 measured; or fit, from the truth.", metavar="C|fit"
        ),
    ] = "1",
    truth: Annotated[
        bool, typer.Option("--truth", help="Beside it what the truth of the test rows says: an oracle's columns.")
    ] = False,
    format: Annotated[Misfitted, typer.Option("--format", "-f")] = Misfitted.table,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.misfit import Asked, slope_of
    from w2s.commands.misfit import misfit as work

    work(recipe, overrides or [], store, "json" if json else format.value, Asked(slope_of(slope), truth))


@app.command(
    help=help_of(
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


@app.command(
    help=help_of("Copy a trained model out of the store; its card then tells floor, ceiling and PGR.", "export")
)
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
