"""Drawings: what is outside an axis is not drawn beyond it, ticks are round, words are words, looks differ without colour."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s.report.page.calibrated import bins
from w2s.report.page.course import LOOKS
from w2s.report.page.figure import SIDES
from w2s.report.page.graph import arranged, near
from w2s.report.page.scores import AGREEMENTS
from w2s.shown.drawing import Look, Scale, folded, span, tick_text
from w2s.shown.forest import Dot, Entry, Rule, forest
from w2s.shown.panels import Axes, Panel, Way, panels

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 5))
BLUE = {"x": Look("honest")}


@given(numbers, numbers)
def test_ticks_are_few_round_and_inside(one: float, other: float) -> None:
    low, high = span([one, other])
    ticks = Scale(low, high, 0, 100).ticks()
    assert 1 <= len(ticks) <= 9
    assert all(low - 1e-6 * abs(low) <= tick <= high + 1e-6 * abs(high) for tick in ticks)
    texts = [tick_text(tick, ticks) for tick in ticks]
    if high - low > 1e-6 * max(abs(low), abs(high)):
        assert len(set(texts)) == len(texts)


def test_a_scale_ends_where_its_axis_does() -> None:
    scale = Scale(0, 1, 10, 20)
    assert [scale(value) for value in (-5, 0, 0.5, 1, 7, -math.inf, math.inf)] == [10, 10, 15, 20, 20, 10, 20]


@pytest.mark.parametrize("looks", [list(SIDES.values()), [look for _, look in AGREEMENTS.values()], list(LOOKS)])
def test_series_differ_without_their_colours(looks: list[Look]) -> None:
    assert len({look.shape for look in looks}) == len(looks)


def test_an_interval_beyond_the_axis_ends_in_an_arrow_at_its_edge() -> None:
    dots = (Dot("x", 0.5, None, 9.0, "0.50"),)
    drawn = forest("a", [Entry("one", dots)], BLUE, axis="PGR", alt="words", within=(-1, 2), rules=(Rule(0, "floor"),))
    across = [float(x) for way in re.findall(r' d="M([^"]+)"', drawn) for x in re.findall(r"(-?[\d.]+) -?[\d.]+", way)]
    assert min(across) >= 0
    assert max(across) <= 1060
    plain = forest(
        "a", [Entry("one", (Dot("x", 0.5, 0.4, 0.6, "0.50"),))], BLUE, axis="PGR", alt="words", within=(-1, 2)
    )
    assert drawn.count("L") > plain.count("L"), "arrows have more corners than whiskers"


def test_words_in_a_drawing_are_words() -> None:
    evil = "</text><script>alert(1)</script>&\"'"
    entry = Entry(evil, (), instead=evil)
    for text in (
        forest("a", [entry], {evil: Look("honest"), "b": Look("third")}, axis=evil, alt=evil),
        panels(
            "b", [Panel(evil, (Way("x", ((0, 1), (1, 2)), told=(evil,), names=(evil,)),))], BLUE, Axes(evil, evil), evil
        ),
    ):
        root = ElementTree.fromstring(text)
        assert root.attrib["aria-label"] == evil
        assert {element.tag for element in root.iter()} <= {"svg", "text", "path", "circle", "rect", "title", "pattern"}


@given(st.text(max_size=200), st.integers(8, 40), st.integers(1, 4))
def test_labels_fit_their_lines(text: str, width: int, lines: int) -> None:
    found = folded(text, width, lines)
    assert 1 <= len(found) <= lines
    assert all(len(line) <= width for line in found)


def test_no_panel_is_empty_of_axes_for_one_point_or_none() -> None:
    for points in ((), ((3.0, 0.5),)):
        assert "<svg" in panels("p", [Panel("one", (Way("x", points),))], BLUE, Axes("step", "y", whole=True), "words")


def test_a_graph_has_columns_by_need_and_no_line_that_others_imply() -> None:
    from tests.w2s.report.finished import RECIPE

    graph = RECIPE.graph()
    place = {key: x for x, column in enumerate(arranged(graph)) for key in column}
    assert sorted(place) == sorted(graph)
    assert all(place[one.key] < place[key] for key, stage in graph.items() for one in stage.inputs())
    lines = near(graph)
    assert all(set(kept) <= {one.key for one in graph[key].inputs()} for key, kept in lines.items())
    rows = next(iter(graph))
    assert sum(rows in kept for kept in lines.values()) < sum(
        rows in {one.key for one in stage.inputs()} for stage in graph.values()
    )


def test_bins_hold_every_row_once() -> None:
    import numpy as np

    sure = np.random.default_rng(0).uniform(0.5, 1, 500)
    probs = np.stack([sure, 1 - sure], axis=1)
    truth = np.zeros(500, dtype=np.int64)
    found = bins([probs, probs[:, ::-1]], truth)
    assert sum(count for _, _, count in found) == 1000
    assert sum(right * count for _, right, count in found) == pytest.approx(500)
