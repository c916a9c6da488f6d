"""`w2s` on the command line: names, flags and help texts, a file for each group of commands. Their work is in `w2s/commands/`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster.disk import trouble
from cluster.errors import EXIT_OK, BadInput, Interrupted, Problem
from w2s.cli.words import app

# isort: off
from w2s.cli import work as work  # commands enter the help in this order
from w2s.cli import jobs as jobs
from w2s.cli import seen as seen
from w2s.cli import theory as theory
from w2s.cli import house as house
# isort: on

KEYBOARD_INTERRUPT = 130  # what typer makes of Ctrl-C


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
