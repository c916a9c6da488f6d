"""`w2s theory cnn | misfit`: toy models of weak-to-strong generalization, against what theory says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2s.cli.words import JsonFlag, PoolKind, StoreFlag, app, help_of

Changes = Annotated[
    list[str] | None,
    typer.Argument(
        help="Changes to the bench's settings: abundant.n_strong=5000 seeds=[0,1]", metavar="[KEY=VALUE]..."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="A folder for the page, SVG drawings and CSV. Default: beside the store.", metavar="FOLDER"
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, metavar="N", help="Seeds 0 to N-1. Default: the bench's.")]
Pool = Annotated[
    PoolKind, typer.Option(help="ray: a cluster, local by default, simulations side by side; inline: this process.")
]
Address = Annotated[
    str | None, typer.Option(help="An existing Ray cluster: HOST:PORT, or auto. Default: start one here.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Log lines instead of a live display.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and errors.")]

theory = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Toy models that need no language model: what theory says, what is seen, and figures of it.",
)
app.add_typer(theory, name="theory")


@theory.command(
    help=help_of(
        "A linear CNN supervises a two-layer ReLU CNN: benign and harmful overfitting, label correction and overtraining.",
        "theory cnn",
    )
)
def cnn(
    changes: Changes = None,
    store: StoreFlag = "store",
    out: Out = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Phase diagrams eight by eight instead of four by four: for a cluster.")
    ] = False,
    seeds: Seeds = None,
    pool: Pool = PoolKind.ray,
    ray_address: Address = None,
    plain: Plain = False,
    quiet: Quiet = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.at_work import Choices
    from w2s.commands.theory import Asked
    from w2s.commands.theory import theory as work

    choices = Choices(store, pool.value, ray_address, False, plain, quiet, json)
    raise typer.Exit(work("cnn", Asked(tuple(changes or ()), seeds, sweep, out), choices))


@theory.command(
    help=help_of(
        "The gain of a student against its misfit: projections, reverse KL, and a synthetic regression.",
        "theory misfit",
    )
)
def misfit(
    changes: Changes = None,
    store: StoreFlag = "store",
    out: Out = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also with representations perturbed more and less, weak and strong.")
    ] = False,
    seeds: Seeds = None,
    pool: Pool = PoolKind.ray,
    ray_address: Address = None,
    plain: Plain = False,
    quiet: Quiet = False,
    json: JsonFlag = False,
) -> None:
    from w2s.commands.at_work import Choices
    from w2s.commands.theory import Asked
    from w2s.commands.theory import theory as work

    choices = Choices(store, pool.value, ray_address, False, plain, quiet, json)
    raise typer.Exit(work("misfit", Asked(tuple(changes or ()), seeds, sweep, out), choices))
