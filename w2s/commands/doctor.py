"""`w2s doctor`: what this machine or a cluster has, what will not work on it, and the remedy.

Exit code 3 where a plain run would fail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from cluster.doctor import Finding, examine, is_well
from cluster.errors import EXIT_ENVIRONMENT, EXIT_OK, BadInput
from w2s.assets import default_cache
from w2s.commands import show

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be examined: this machine, unless a Slurm or a Ray cluster is named. `site` is a site file."""

    slurm: bool = False
    ray: str | None = None
    site: str | None = None
    probe: bool = False


def doctor(store_url: str | None, asked: Asked, *, as_json: bool) -> int:
    """Examine what was asked. Returns the exit code."""
    _check(asked)
    findings: list[Finding] = []
    console = show.console()
    with show.console(err=True).status("looking around") as status:
        for finding in _examine(store_url, asked, lambda text: status.update(escape(text))):
            findings.append(finding)
            if not as_json:
                tell(finding, console)
    well = is_well(findings)
    if as_json:
        show.as_json({"ok": well, "checks": [dataclasses.asdict(finding) for finding in findings]})
    else:
        warned = sum(finding.state == "warn" for finding in findings)
        failed = sum(finding.state == "fail" for finding in findings)
        verdict = "a plain run will work" if well else f"{failed} to mend before a run"
        console.print(f"\n{verdict}" + (f"; {warned} to know of" if warned else ""))
    return EXIT_OK if well else EXIT_ENVIRONMENT


def _examine(store_url: str | None, asked: Asked, say: Say) -> Iterator[Finding]:
    from w2s.site import load_site

    site = load_site(asked.site)
    store = store_url or site.store or "store"
    if not asked.slurm and asked.ray is None:
        return examine(store, default_cache(), say)
    if asked.ray is not None:
        from cluster.doctor_ray import examine_ray

        return examine_ray(asked.ray, store, site.python, say)
    from cluster.doctor_slurm import examine_slurm

    return examine_slurm(site, store, probe=asked.probe, say=say)


def _check(asked: Asked) -> None:
    if asked.slurm and asked.ray is not None:
        raise BadInput("--ray", "does not go with --slurm", "ask for one at a time")
    if asked.probe and not asked.slurm:
        raise BadInput("--probe", "is for Slurm", "add --slurm; --ray looks at the nodes unasked")
    if asked.site is not None and not asked.slurm and asked.ray is None:
        raise BadInput("--site", "is for clusters", "add --slurm, or --ray ADDRESS")


def tell(finding: Finding, console: Console) -> None:
    colour = COLOURS[finding.state]
    console.print(f"[{colour}]{finding.state:<4}[/]  {escape(finding.name):<20}  {escape(finding.found)}")
    if finding.remedy:
        console.print(f"{'':<28}{escape(finding.remedy)}", style=colour)
