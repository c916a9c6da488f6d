"""Templates that escape all they are given, in the frame that every page has; and a page written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.disk import told

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> Environment:
    """Jinja templates of a package's folder `templates`, with `base.html` and `base.css` beside them.

    What is put into a page is text there, never markup; a name that is not given is an error.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loaders = [PackageLoader(package, "templates"), PackageLoader("w2s.shown", "templates")]
    return Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def put(text: str, place: Path, what: str) -> Path:
    """Write a page in one move, so that no reader meets half of it. Raises BadEnvironment, naming `what`."""
    part = place.with_name(f".{place.name}.{os.getpid()}")
    with told(what, place):
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
    return place
