"""`w2s board`: a recipe, or a whole store, in TensorBoard."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from cluster.errors import BadInput
from cluster.store import Store
from w2s.commands import show
from w2s.recipe import Recipe

PLAIN = "?smoothing=0#custom_scalars&_smoothingWeight=0"
"""Of a recipe: TensorBoard smooths curves unasked, and a mean over neighbouring seeds is no result."""


@dataclass(frozen=True)
class Asked:
    """A `port`, None for any; `write`: the runs and no server."""

    port: int | None = None
    write: bool = False


def board(reference: str | None, overrides: Sequence[str], store_url: str, asked: Asked) -> None:
    """Write the runs of a recipe anew and serve them until Ctrl-C; without a recipe serve all that the store has."""
    what, root = _whole(store_url) if reference is None else _recipe(reference, overrides, store_url)
    console = show.console()
    console.print(f"{what}: {root}", markup=False, highlight=False, soft_wrap=True)
    if not asked.write:
        _serve(root, asked.port, "" if reference is None else PLAIN)


def refresh(recipe: Recipe, store: Store) -> str:
    """Write a recipe's runs anew at the end of its run, without figures. Returns why that could not be done, else ""."""
    try:
        from w2s.board.write import write_board

        write_board(recipe, store)
    except Exception as error:  # what is shown may not stop what was run
        return f"TensorBoard shows no results of this run: {error}"
    return ""


def _recipe(reference: str, overrides: Sequence[str], store_url: str) -> tuple[str, Path]:
    """It may be looked at before it is run: what a run adds appears by itself."""
    from w2s.board.write import SHOWN, count_runs, write_board
    from w2s.load import load

    recipe = load(reference, overrides)
    root = write_board(recipe, Store.open(store_url), figures=True)
    count = count_runs(root)
    more = f" (of more than {SHOWN} TensorBoard shows none until some are chosen: filter them)" if count > SHOWN else ""
    return f"{count} runs of {recipe.name}{more}", root


def _whole(store_url: str) -> tuple[str, Path]:
    """Its curves by stage, searches, and the recipes that have been run or shown. Raises BadInput where there is none."""
    store = Store.open(store_url, create=False)
    if not store.tensorboard.is_dir():
        raise BadInput(f"store {store.url}", "has nothing to show", "name another --store, or a recipe")
    return f"all runs of {store.url}", store.tensorboard


def _serve(root: Path, port: int | None, view: str) -> None:
    from cluster.tensorboard_server import serve, tunnel

    # a shell that starts it in the background has it ignore Ctrl-C, and then nothing but a kill would end it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = show.console()
    try:
        url = serve(root, port)
        console.print(f"TensorBoard: {url}{view}  (Ctrl-C ends it)", markup=False, highlight=False, soft_wrap=True)
        own_port = urlparse(url).port
        assert own_port is not None
        line = tunnel(os.environ, own_port, getpass.getuser(), socket.gethostname())
        if line is not None:
            console.print(f"from another machine: {line}", markup=False, highlight=False, soft_wrap=True)
        console.file.flush()
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("")
