"""An order's batch script as text: the template `slurm/run.sbatch`, filled in. Pure; `slurm.py` hands it over.

Every value in the template goes through a filter of this file: it comes out quoted, or it is refused with its name.
Nothing that a recipe, an environment or a path contains is ever executed, and none of it can begin a line of its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cluster.errors import BadInput
from cluster.submit.order import Order, checked_id
from cluster.submit.site import Site

EARLY_S = 60  # Slurm may send a notice so much earlier than asked (sbatch(1), --signal)
OUT = "out"
WORD = re.compile(
    r"[A-Za-z0-9_(\[][A-Za-z0-9_.,:;+@%=&|!?*()\[\]<>/-]*"
)  # names, `afterok:12,afterany:13`, `[a100|h100]*2`
CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line and paragraph separators
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = {
    "job-name": "", "J": "", "output": "", "o": "", "error": "", "e": "", "open-mode": "", "signal": "", "requeue": "",
    "no-requeue": "", "export": "", "export-file": "", "chdir": "", "D": "", "ntasks": "", "n": "", "ntasks-per-node": "",
    "wrap": "", "array": "--array of `w2s submit`", "a": "--array of `w2s submit`", "nodes": "--nodes of `w2s submit`",
    "N": "--nodes of `w2s submit`", "dependency": "--dependency of `w2s submit`", "d": "--dependency of `w2s submit`",
    "account": "account", "A": "account", "partition": "partition", "p": "partition", "qos": "qos", "q": "qos",
    "constraint": "constraint", "C": "constraint", "reservation": "reservation", "exclusive": "exclusive",
    "time": "time_limit", "t": "time_limit", "mem": "memory_per_node", "cpus-per-task": "cpus_per_node", "c": "cpus_per_node",
    "gpus-per-node": "gpus_per_node", "gres": "gpu_flag: gres", "gpus": "gpus_per_node", "G": "gpus_per_node",
}  # fmt: skip
"""Flags the script writes itself, and where what they say is said instead: a second one would win, silently."""


class Safe(str):
    """Text that a filter has quoted or accepted: the only kind the template prints."""


def sbatch_text(order: Order, site: Site, python: str, *, pythonpath: str = "") -> str:
    """The batch script. `python` is the interpreter on the nodes; `pythonpath` the folder its code is in, "" where it is installed.

    Raises BadInput, naming the field, for a value that can be no part of a script, and for a notice as long as the time limit.
    """
    _check(order, site)
    throttle = f"%{order.throttle}" if order.throttle else ""
    return _environment().get_template("run.sbatch").render(
        order=order,
        site=site,
        python=python,
        pythonpath=pythonpath,
        elements=f"0-{len(order.elements) - 1}{throttle}",
        output=f"{order.folder.replace('%', '%%')}/{OUT}/{'%A_%a' if order.is_array else '%j'}.out",
        environment=list({**site.environment, **order.environment}.items()),
    )  # fmt: skip


def package_slurm() -> Path:
    """The folder of the template and the examples: inside the installed package, or at the root of a checkout."""
    inside = Path(__file__).parent / "_slurm"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "slurm"


def checkout() -> str:
    """The root of the checkout this program runs from; "" when it is installed."""
    root = Path(__file__).parents[2]
    return str(root) if (root / "pyproject.toml").is_file() and not (Path(__file__).parent / "_slurm").is_dir() else ""


def _check(order: Order, site: Site) -> None:
    checked_id(order.id)
    if not order.elements:
        raise BadInput(f"order {order.id}", "has no elements", "a recipe without seeds or methods?")
    if not order.folder.startswith("/") or "\\" in order.folder:
        what = f"the folder '{order.folder}' is {'relative' if order.folder[:1] != '/' else 'not usable: it has a backslash'}"
        raise BadInput(f"order {order.id}", what, "give an absolute path that every node sees")
    if order.size.time_s <= site.grace_s + EARLY_S:
        raise BadInput(
            "time limit",
            f"{order.size.time_s} s leave no time to work: Slurm gives notice {site.grace_s} s before the end (`grace`), "
            f"or up to {EARLY_S} s earlier",
            "a longer --time, or a shorter grace in the site file",
        )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(package_slurm()), undefined=StrictUndefined, finalize=_only_safe,
        autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,  # noqa: S701 - a script, no HTML
    )  # fmt: skip
    filters: Mapping[str, Callable[..., Safe]] = {
        "word": word, "quoted": quoted, "shell": shell, "number": number, "clock": clock, "remark": remark,
        "flag": flag, "variable": variable, "shell_line": shell_line, "plain": Safe,
    }  # fmt: skip
    environment.filters.update(filters)
    return environment


def _only_safe(value: Any) -> Safe:
    if value == "":  # an `if` without an `else`
        return Safe("")
    if not isinstance(value, Safe):
        raise TypeError(f"run.sbatch prints {value!r} through no filter")
    return value


# ---- filters


def word(value: str, field: str) -> Safe:
    """A value of a #SBATCH flag that needs no quotes: a name, a list, an expression. Raises BadInput for anything else."""
    if not isinstance(value, str) or not WORD.fullmatch(value):
        remedy = "letters, digits and _ . , : ; + @ % = & | ! ? * ( ) [ ] < > / - without spaces"
        raise BadInput(field, f"{_shown(value)} is nothing Slurm could be asked for", remedy)
    return Safe(value)


def quoted(value: str, field: str) -> Safe:
    """A value of a #SBATCH flag with whatever is in it, in the quotes that sbatch reads. Raises BadInput for control characters."""
    escaped = _text(value, field).replace("\\", "\\\\").replace('"', '\\"')
    return Safe(f'"{escaped}"')


def shell(value: str, field: str) -> Safe:
    """One word of a shell command, which stands for itself. Raises BadInput for control characters."""
    return Safe(shlex.quote(_text(value, field)))


def remark(value: str, field: str) -> Safe:
    """Part of a line that begins with #. Raises BadInput for control characters."""
    return Safe(_text(value, field))


def number(value: int, field: str, least: int, most: int = 10**9) -> Safe:
    """A whole number. Raises BadInput for any other thing, or one out of bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadInput(field, f"must be a whole number from {least} to {most}, found {_shown(value)}")
    return Safe(value)


def clock(seconds: int) -> Safe:
    """Seconds as Slurm writes them: 1-02:03:04."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return Safe(f"{hours // 24}-{hours % 24:02d}:{minutes:02d}:{rest:02d}")


def flag(value: str) -> Safe:
    """A whole #SBATCH flag, in the site's own words. Raises BadInput for what is no flag, and for those the script writes itself."""
    text = _text(value, "extra").strip()
    if not text.startswith("-"):
        raise BadInput("extra", f"{_shown(value)} is no flag", "write it like --mail-type=FAIL")
    name = text[2:].partition("=")[0].split()[0:1] if text.startswith("--") else [text[1:2]]
    for said, instead in OURS.items():
        if name == [said]:
            remedy = f"use {instead}" if instead else "leave it out"
            raise BadInput("extra", f"{_shown(value)}: the script has this flag already", remedy)
    return Safe(text)


def variable(name: str) -> Safe:
    """The name of an environment variable. Raises BadInput."""
    if not isinstance(name, str) or not VARIABLE.fullmatch(name):
        raise BadInput("environment", f"{_shown(name)} is no variable's name", "letters, digits and _")
    return Safe(name)


def shell_line(line: str) -> Safe:
    """A line of the site file's `setup`: the user's own shell, as it is."""
    return Safe(line)


def _text(value: str, field: str) -> str:
    """Raises BadInput for what is no text of one line."""
    if not isinstance(value, str) or any(category(letter) in CONTROL for letter in value):
        raise BadInput(field, f"{_shown(value)} has control characters", "one line of plain text")
    return value


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
