"""A run as a few lines that fit a terminal: how far the whole is, then a line for each running stage. Pure: a value in, text out.

Where a terminal is narrow, what matters least is left out; nothing is ever wider than it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from cluster.eta import eta_s
from cluster.tally import Tally
from cluster.words import clock, facts, one_line

SHOWN = 12  # running stages; a cluster may have hundreds
NAME = 24  # cells that a name should have before a column is left out for it
BAR = 16
GAP = "  "
COLUMNS = ("bar", "step", "loss", "score", "speed", "time", "device")  # from left to right
LEFT_OUT = ("device", "speed", "score", "bar", "loss", "step", "time")  # what goes first
STYLES = {"time": "cyan", "device": "dim", "speed": "dim"}
STEADY = {"time": 10, "loss": 10}  # widths below which a column would jump about


@dataclass(frozen=True)
class View:
    """What a picture is made of. `now` is the monotonic clock; `doing` what is done beside the stages; sizes in cells."""

    tally: Tally
    now: float
    elapsed_s: float
    width: int
    height: int
    doing: str = ""
    expected_s: Mapping[str, float] = field(default_factory=dict)
    ascii_only: bool = False


def picture(view: View) -> list[Text]:
    """The lines, at least one, each at most `view.width` cells wide and no more of them than `view.height`."""
    lines = [_head(view)]
    if view.doing:
        lines.insert(0, Text(fitted(one_line(view.doing), view.width, view.ascii_only), "yellow"))
    room = max(0, min(SHOWN, view.height - len(lines) - 1))
    running = list(view.tally.running)
    lines += _stages(view, running[:room])
    if len(running) > room:
        lines.append(Text(fitted(f"and {len(running) - room} more running", view.width, view.ascii_only), "dim"))
    return lines[: max(1, view.height)]


def _head(view: View) -> Text:
    """`bar  31/64 stages  23 done  8 cached  2 running  31 waiting  3:20  about 4:10 left`, as much of it as there is room."""
    tally = view.tally
    there, left_s = tally.cached + tally.done, eta_s(tally, view.expected_s, view.now)
    skipped = max(0, len(tally.over) - tally.done - tally.failed)
    pieces = [  # what it says, its style, and its place in the order in which room is given
        (f"{there}/{tally.total} stages" if view.width >= 60 else f"{there}/{tally.total}", "bold", 0),
        (f"{tally.done} done", "green", 8),
        (f"{tally.cached} cached", "", 7),
        (f"{len(tally.running)} running", "cyan", 3),
        (f"{tally.waiting} waiting", "", 4),
        (f"{tally.failed} failed", "bold red", 1) if tally.failed else ("", "", 9),
        (f"{skipped} not run", "yellow", 5) if skipped else ("", "", 9),
        (clock(view.elapsed_s), "dim", 6),
        ("" if left_s is None else f"about {clock(left_s)} left", "cyan", 2),
    ]
    bar = min(30, view.width // 5)
    free = view.width - bar
    kept = []
    for place, (words, style, _) in sorted(enumerate(pieces), key=lambda piece: piece[1][2]):
        if words and len(words) + len(GAP) <= free:
            free -= len(words) + len(GAP)
            kept.append((place, words, style))
    part = sum(stage.fraction for stage in tally.running.values())
    line = _bar((there + part) / tally.total if tally.total else 0.0, bar, view.ascii_only)
    for _, words, style in sorted(kept):
        line.append(GAP).append(words, style)
    return line


def _stages(view: View, keys: Sequence[str]) -> list[Text]:
    if not keys:
        return []
    tally = view.tally
    names = [one_line(tally.name(key)) for key in keys]
    told = [facts(tally.running[key], view.now) for key in keys]
    widths = {column: _width(column, told) for column in COLUMNS}
    columns = [column for column in COLUMNS if widths[column]]
    longest = max(map(cell_len, names))

    def room() -> int:
        return view.width - sum(widths[column] + len(GAP) for column in columns)

    for column in LEFT_OUT:
        if room() >= min(longest, NAME):
            break
        if column in columns:
            columns.remove(column)
    name_width = min(longest, room())
    lines = []
    for key, name, found in zip(keys, names, told, strict=True):
        line = Text(set_cell_size(fitted(name, name_width, view.ascii_only), name_width))
        for column in columns:
            line.append(GAP)
            if column == "bar":
                line.append_text(_bar(tally.running[key].fraction, BAR, view.ascii_only))
            else:
                line.append(set_cell_size(found.get(column, ""), widths[column]), STYLES.get(column, ""))
        line.rstrip()
        lines.append(line)
    return lines


def _width(column: str, told: Sequence[Mapping[str, str]]) -> int:
    if column == "bar":
        return BAR if any("step" in found for found in told) else 0
    widest = max(cell_len(found.get(column, "")) for found in told)
    return max(widest, STEADY.get(column, 0)) if widest else 0


def _bar(fraction: float, width: int, ascii_only: bool) -> Text:
    full = int(min(1.0, max(0.0, fraction)) * width)
    done, rest = ("#", ".") if ascii_only else ("━", "─")
    return Text.assemble((done * full, "green"), (rest * (width - full), "dim"))


def fitted(text: str, width: int, ascii_only: bool = False) -> str:
    """At most `width` cells; the middle of what is longer is left out, for its end tells stages apart."""
    if cell_len(text) <= width:
        return text
    dots = "..." if ascii_only else "…"
    if width <= len(dots) + 2:
        return set_cell_size(text, max(0, width))
    end = (width - len(dots)) // 2
    head = set_cell_size(text, width - len(dots) - end)
    return f"{head}{dots}{set_cell_size(text[::-1], end)[::-1]}"
