"""Where the site file is. Reads nothing of it, so that commands that need none need not load what reads it."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.errors import BadInput

VARIABLE = "W2S_SITE"
FILES = ("site.yaml", "site.yml", "site.env")


def find_site(path: str | None = None) -> Path | None:
    """The site file in use; None where there is none. Raises BadInput for one that is named and not there, or for two at once."""
    named = path or os.environ.get(VARIABLE)
    if named:
        file = Path(named).expanduser()
        if not file.is_file():
            where = "--site" if path else f"${VARIABLE}"
            raise BadInput(where, f"no such file: {named}", "slurm/site.example.yaml is one to begin with")
        return file
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "w2s"
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise BadInput(str(folder), f"has {' and '.join(file.name for file in found)}", "keep one of them")
    return found[0] if found else None
