"""The graph of stages as a drawing: columns from left to right, each stage right of all that it needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from w2s import bridge
from w2s.shown.drawing import Drawing, folded
from w2s.stages import Stage

WIDE, HIGH, ACROSS, DOWN, EDGE = 172.0, 46.0, 40.0, 12.0, 8.0
LETTERS = 26
SWEEPS = 6
MOST = 160  # stages in one drawing


def draw(name: str, graph: Mapping[str, Stage], there: Collection[str], alt: str) -> str:
    """The stages as SVG; those that are not there have dashed frames."""
    columns = arranged(graph)
    place = {key: (x, y) for x, column in enumerate(columns) for y, key in enumerate(column)}
    tallest = max(len(column) for column in columns)
    width = EDGE * 2 + len(columns) * (WIDE + ACROSS) - ACROSS
    height = EDGE * 2 + tallest * (HIGH + DOWN) - DOWN
    drawing = Drawing(name, width, height, alt)
    corner = {
        key: (EDGE + x * (WIDE + ACROSS), EDGE + (y + (tallest - len(columns[x])) / 2) * (HIGH + DOWN))
        for key, (x, y) in place.items()
    }
    for key, needs in near(graph).items():
        for needed in needs:
            left, top = corner[needed]
            drawing.curve(left + WIDE, top + HIGH / 2, corner[key][0], corner[key][1] + HIGH / 2)
    for key, stage in graph.items():
        _stage(drawing, stage, corner[key], key in there)
    return drawing.text_out()


def _stage(drawing: Drawing, stage: Stage, corner: tuple[float, float], there: bool) -> None:
    left, top = corner
    told = bridge.name(stage) + ("" if there else ": not there yet")
    drawing.box(left, top, WIDE, HIGH, edge="honest" if there else "oracle", dash="" if there else "4 3", told=told)
    lines = folded(stage.words, LETTERS, 3)
    first = top + HIGH / 2 + 4 - 6.5 * (len(lines) - 1)
    for line, words in enumerate(lines):
        drawing.text(left + 7, first + 13 * line, words, size=11, told=told if line == 0 else "")


def near(graph: Mapping[str, Stage]) -> dict[str, list[str]]:
    """What each stage needs, less what these need in turn: a way that is there already needs no line of its own."""
    below: dict[str, set[str]] = {}
    found: dict[str, list[str]] = {}
    for key, stage in graph.items():  # inputs come first
        inputs = [one.key for one in stage.inputs()]
        further = set().union(*(below[one] for one in inputs))
        below[key] = further.union(inputs)
        found[key] = [one for one in inputs if one not in further]
    return found


def arranged(graph: Mapping[str, Stage]) -> list[list[str]]:
    """Keys by column: a stage's column is the longest way to it, and neighbours within a column are near what they need.

    Sugiyama's method: layers, then some sweeps that sort each by the mean place of its neighbours.
    """
    needs = near(graph)
    column: dict[str, int] = {}
    for key in graph:  # inputs come first
        column[key] = 1 + max((column[one] for one in needs[key]), default=-1)
    columns: list[list[str]] = [[] for _ in range(1 + max(column.values()))]
    for key in graph:
        columns[column[key]].append(key)
    users: dict[str, list[str]] = {key: [] for key in graph}
    for key, ones in needs.items():
        for one in ones:
            users[one].append(key)
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        ways = needs if forwards else users
        for keys in columns if forwards else reversed(columns):
            _sort(keys, ways, {key: _middle(place, len(one)) for one in columns for place, key in enumerate(one)})
    return columns


def _sort(keys: list[str], ways: Mapping[str, Sequence[str]], place: Mapping[str, float]) -> None:
    means = {key: sum(place[one] for one in ways[key]) / len(ways[key]) if ways[key] else place[key] for key in keys}
    keys.sort(key=lambda key: means[key])


def _middle(place: int, count: int) -> float:
    """A place as its distance from the middle of its column, about which columns are drawn."""
    return place - (count - 1) / 2
