"""What a bench leaves in a folder: one page, every drawing as an SVG of its own, and its numbers as CSV."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from cluster.disk import told
from w2s.bench_theory.claims import HEAD, Claim, counted
from w2s.config import Config
from w2s.shown import frame

PAGE = "theory.html"


@dataclass(frozen=True)
class Figure:
    """A drawing; `told` stands below it. `head` and `rows` are its numbers, as text."""

    name: str
    title: str
    svg: str
    told: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Sheet:
    """Numbers for other programs: a CSV file, None an empty cell."""

    name: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[str | float | None]]


@dataclass(frozen=True)
class Told:
    """All that a bench has to say. `about` are paragraphs: what is simulated, whose constants these are."""

    title: str
    about: tuple[str, ...]
    claims: tuple[Claim, ...]
    figures: tuple[Figure, ...]
    sheets: tuple[Sheet, ...]
    settings: Config
    command: str


def write(found: Told, folder: Path) -> Path:
    """Write page, drawings and CSV into a folder, made if it is not there; returns the page. Raises BadEnvironment."""
    with told("figures", folder):
        folder.mkdir(parents=True, exist_ok=True)
    for figure in found.figures:
        frame.put(standalone(figure.svg), folder / f"{figure.name}.svg", "figure")
    rows = [(claim.what, claim.source, claim.expected, claim.seen, claim.verdict) for claim in found.claims]
    claims = Sheet("claims", ("claim", "source", *HEAD[1:]), rows)
    for sheet in (claims, *found.sheets):
        frame.put(as_csv(sheet), folder / f"{sheet.name}.csv", "numbers")
    return frame.put(render(found), folder / PAGE, "page")


def render(found: Told) -> str:
    """The page as HTML."""
    return frame.environment("w2s.bench_theory").get_template("theory.html").render(
        told=found, counted=counted(found.claims), head=HEAD, rows=[claim.row() for claim in found.claims],
        settings=yaml.safe_dump(found.settings.dump(), sort_keys=False, width=100), written=time.strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip


def standalone(svg: str) -> str:
    """A page's drawing as a file of its own: with the colours that the page's style sheet gives it."""
    sheet = resources.files("w2s.shown").joinpath("templates/base.css").read_text(encoding="utf-8")
    colours = re.findall(r"^:root \{.*?^\}", sheet, flags=re.MULTILINE | re.DOTALL)[0]
    named = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return named.replace(
        ">", f"><style>{colours} svg {{ background: var(--paper); font-family: sans-serif; }}</style>", 1
    )


def as_csv(sheet: Sheet) -> str:
    """The sheet as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([sheet.head, *sheet.rows])
    return out.getvalue()
