"""TensorBoard's own server, started in this process on loopback, over one root."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import BadEnvironment, BadInput

HOST = "127.0.0.1"
"""This machine alone: TensorBoard asks nobody who they are."""
MOST_PORT = 65535
SSH_PORT = "22"


def serve(root: Path, port: int | None = None) -> str:
    """Serve a root from threads of this process, and a reader of its own that ends with it. Returns the URL.

    `port` None: TensorBoard's usual one, else the next free one, else any. Raises BadInput where a port that was asked for
    cannot be had, BadEnvironment where no server can be started.
    """
    if port is not None:
        if not 0 < port <= MOST_PORT:
            raise BadInput("--port", f"{port} is no port", f"give one from 1 to {MOST_PORT}, or none")
        return _launch(root, str(port), asked=True)
    try:
        return _launch(root, None, asked=False)
    except BadEnvironment:  # all that it tries by itself are taken
        return _launch(root, "0", asked=False)


def _launch(root: Path, port: str | None, *, asked: bool) -> str:
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):  # that TensorFlow is not there, and which reader it takes
        try:
            from tensorboard import default, program
        except ImportError as error:
            remedy = "pip install --force-reinstall tensorboard"
            raise BadEnvironment("TensorBoard", f"cannot be loaded: {error}", remedy) from None
        server = program.TensorBoard(plugins=default.get_plugins())
        at = [] if port is None else ["--port", port]
        server.configure(argv=["tensorboard", "--logdir", str(root), "--host", HOST, *at])
        try:
            return str(server.launch())
        except (program.TensorBoardServerException, OSError) as error:
            what = str(error).splitlines()[0]
            if asked:
                raise BadInput("--port", what, "give another, or none for any that is free") from None
            raise BadEnvironment("TensorBoard", what, "close some programs, or name a --port") from None


def tunnel(environ: Mapping[str, str], port: int, user: str, host: str) -> str | None:
    """The ssh command that brings a port of this machine to the one whose screen the user looks at; None where that is this one.

    A compute node is reached through the host its job was submitted from.
    """
    way: list[str] = []
    ours = environ.get("SSH_CONNECTION", "").split()
    if "SLURM_JOB_ID" in environ:
        submitted = environ.get("SLURM_SUBMIT_HOST")
        way = ["-J", f"{user}@{submitted}"] if submitted and submitted != host else []
    elif ours:
        way = ["-p", ours[3]] if len(ours) == 4 and ours[3] != SSH_PORT else []
    elif environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or environ.get("TERM_PROGRAM"):
        return None
    return " ".join(["ssh", "-N", *way, "-L", f"{port}:{HOST}:{port}", f"{user}@{host}"])
