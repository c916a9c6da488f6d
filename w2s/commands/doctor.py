"""`w2s doctor`: what this machine has, what will not work on it, and the remedy. Exit code 3 where a plain run would fail."""

from __future__ import annotations

import dataclasses

from rich.console import Console
from rich.markup import escape

from cluster.doctor import Finding, examine, is_well
from cluster.errors import EXIT_ENVIRONMENT, EXIT_OK
from w2s.assets import default_cache
from w2s.commands import show

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(store_url: str, *, as_json: bool) -> int:
    """Examine this machine. Returns the exit code."""
    findings: list[Finding] = []
    console = show.console()
    with show.console(err=True).status("looking around") as status:
        for finding in examine(store_url, default_cache(), lambda text: status.update(escape(text))):
            findings.append(finding)
            if not as_json:
                _tell(finding, console)
    well = is_well(findings)
    if as_json:
        show.as_json({"ok": well, "checks": [dataclasses.asdict(finding) for finding in findings]})
    else:
        warned = sum(finding.state == "warn" for finding in findings)
        failed = sum(finding.state == "fail" for finding in findings)
        verdict = "a plain run will work" if well else f"{failed} to mend before a run"
        console.print(f"\n{verdict}" + (f"; {warned} to know of" if warned else ""))
    return EXIT_OK if well else EXIT_ENVIRONMENT


def _tell(finding: Finding, console: Console) -> None:
    colour = COLOURS[finding.state]
    console.print(f"[{colour}]{finding.state:<4}[/]  {escape(finding.name):<20}  {escape(finding.found)}")
    if finding.remedy:
        console.print(f"{'':<28}{escape(finding.remedy)}", style=colour)
