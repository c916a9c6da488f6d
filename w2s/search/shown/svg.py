"""A matplotlib figure as SVG inside a page: colours that follow the page's light or dark, nothing from elsewhere, no id twice."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matplotlib draws in these stand-ins; the page's style sheet says what each one is, by day and by night
INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
HONEST, ORACLE, THIRD, FOURTH = "#020101", "#020102", "#020103", "#020104"
RAMP = tuple(f"#03010{step}" for step in range(1, 8))
"""From the worst to the best."""
VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper",
    HONEST: "honest", ORACLE: "oracle", THIRD: "third", FOURTH: "fourth",
    **{colour: f"ramp{step}" for step, colour in enumerate(RAMP)},
}  # fmt: skip
_COLOUR = re.compile("|".join(VARIABLES))
_LINK = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
POINTS_A_PIXEL = 0.75


@contextmanager
def style() -> Iterator[None]:
    """Inside, figures are made in the page's style. Text is text: nothing in it is taken for a formula."""
    import matplotlib as mpl

    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "w2s", "text.parse_math": False, "font.family": "sans-serif", "font.size": 9.0,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
        "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.facecolor": "none", "figure.facecolor": "none",
        "grid.color": GRID, "grid.linewidth": 0.8, "axes.grid": True, "axes.axisbelow": True, "lines.linewidth": 1.6,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8.5,
        "figure.constrained_layout.use": True, "figure.constrained_layout.w_pad": 0.1, "axes.unicode_minus": False,
        "axes.formatter.useoffset": False,
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield


def figure(height: float, width: float = 11.1) -> Figure:
    """An empty figure, in inches; by itself as wide as the page."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def to_svg(drawn: Figure, name: str, alt: str) -> str:
    """The figure as an <svg> element for an HTML page, its ids beginning with `name`; `alt` says in words what it shows."""
    out = io.BytesIO()
    with style():
        drawn.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(out.getvalue())  # noqa: S314 - written by matplotlib a line above
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}title")):
                parent.remove(child)
    linked = {name for element in root.iter() for value in element.attrib.values() for name in _links(value)}
    for element in root.iter():
        _plain(element, name, linked)
    width, height = (float(root.attrib[side].removesuffix("pt")) / POINTS_A_PIXEL for side in ("width", "height"))
    root.attrib = {
        "viewBox": root.attrib["viewBox"], "role": "img", "aria-label": alt,
        "style": f"width:{width:.0f}px", "data-height": f"{height:.0f}",
    }  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _links(value: str) -> list[str]:
    return [one or other for one, other in _LINK.findall(value)]


def _plain(element: ElementTree.Element, name: str, linked: set[str]) -> None:
    """Names without their namespaces, as HTML has them; ids that are linked to made the figure's own, the others dropped."""
    element.tag = element.tag.rpartition("}")[2]
    found: dict[str, str] = {}
    for key, value in element.attrib.items():
        plain = key.rpartition("}")[2]
        if plain == "id":
            if value in linked:
                found[plain] = f"{name}-{value}"
        elif plain in ("style", "fill", "stroke"):
            coloured = _COLOUR.sub(lambda match: f"var(--{VARIABLES[match[0]]})", value)
            found[plain] = re.sub(r"url\(#", f"url(#{name}-", coloured)
        elif plain == "href":
            found[plain] = f"#{name}-{value.removeprefix('#')}"
        else:
            found[plain] = re.sub(r"url\(#", f"url(#{name}-", value)
    element.attrib = found
