"""The drawings of the CNN bench: curves of every scene over steps, and the phase diagrams."""

from __future__ import annotations

import math
from collections.abc import Sequence

from w2s.bench_theory.cnn.config import Bench, Grid
from w2s.bench_theory.cnn.results import Cell, Results, Run, mean, number
from w2s.bench_theory.cnn.verdicts import Boundary, boundary
from w2s.bench_theory.heat import Axis, Shade, heat
from w2s.bench_theory.page import Figure
from w2s.bench_theory.spread import UNKNOWN, spread, words
from w2s.shown.drawing import Look
from w2s.shown.panels import Axes, Panel, Way, panels

SOLID, DASHED, DOTTED, FINE = (
    Look("honest", "circle"), Look("oracle", "diamond", "7 3"), Look("third", "square", "2 3"), Look("fourth", "triangle", "4 2")
)  # fmt: skip
TRAINING = {"train_labels": "training, weak labels", "train_truth": "training, truth (oracle)", "test": "test (oracle)"}
BY_TYPE = {"test_easy": "easy-only", "test_hard": "hard-only", "test_both": "both signals"}
CORRECTION = {"flipped_as_truth": "wrong labels predicted as truth", "kept_as_labelled": "right labels fitted"}
INSIDE = {
    "align_easy": "easy signal", "align_hard": "hard signal", "align_hard_turned": "hard signal, turned",
    "noise_flipped": "own noise, wrong labels",
}  # fmt: skip
STEP = "step (log scale)"
CURVE_POINTS = 40  # of the boundary


def figures(bench: Bench, results: Results) -> list[Figure]:
    """All drawings, in the order of the page."""
    curves = [
        ("training", "Accuracy while training", TRAINING, "accuracy", (0.35, 1.03), True),
        ("types", "Test accuracy by item type (oracle)", BY_TYPE, "accuracy", (0.35, 1.03), False),
        ("correction", "Labels corrected, then learned by heart (oracle)", CORRECTION, "share", (-0.03, 1.03), False),
        ("inside", "What the best filters get from a patch", INSIDE, "inner product", None, False),
    ]
    found = [_curves(results, *curve) for curve in curves]
    parted = boundary(results.cells)
    return found + [_phase(results, bench.grid(name), name, parted) for name in bench.GRIDS]


def _curves(
    results: Results,
    name: str,
    title: str,
    series: dict[str, str],
    unit: str,
    ends: tuple[float, float] | None,
    is_level: bool,
) -> Figure:
    looks = dict(zip(series.values(), (SOLID, DASHED, DOTTED, FINE), strict=False))
    drawn = [_panel(scene, runs, series, is_level) for scene, runs in results.scenes.items()]
    axes = Axes(x=STEP, y=unit, y_ends=ends)
    alt = f"{title} against steps, a panel each for {', '.join(results.scenes)}; the numbers stand in the table below."
    rows = [
        (
            scene,
            shown,
            *(words(spread([run.records[place][key] for run in runs])) for place in (0, -1)),
            _peak(runs, key),
        )
        for scene, runs in results.scenes.items()
        for key, shown in series.items()
    ]
    told = "A faint line a seed, the mean over seeds in full."
    if is_level:
        told += " The dashed line is the test accuracy of the weak supervisor."
    head = ("scene", "measure", "at step 0", "at the end", "at the step of the best test accuracy (oracle)")
    return Figure(name, title, panels(name, drawn, looks, axes, alt), told, head, tuple(rows))


def _peak(runs: Sequence[Run], key: str) -> str:
    steps = sorted({int(number(run.best["step"])) for run in runs})
    value = words(spread([run.best[key] for run in runs]))
    return value if value == UNKNOWN else f"{value}, step {', '.join(map(str, steps))}"


def _panel(scene: str, runs: Sequence[Run], series: dict[str, str], is_level: bool) -> Panel:
    ways = []
    for key, shown in series.items():
        for run in runs:
            points = tuple((_x(record["step"]), value) for record in run.records if (value := record[key]) is not None)
            ways.append(Way(shown, points, marked=False, fade=0.3))
        by_step = [[run.records[place][key] for run in runs] for place in range(len(runs[0].records))]
        means = [None if None in values else mean([number(value) for value in values]) for values in by_step]
        points = tuple(
            (_x(record["step"]), value)
            for record, value in zip(runs[0].records, means, strict=True)
            if value is not None
        )
        ways.append(Way(shown, points))
    at = runs[0].point
    title = f"{scene}: n_st {at.n_strong}, |nu| {at.hard_norm:g}, p_b {at.p_both:g}, d {at.dims}"
    level = (mean([number(run.weak["test"]) for run in runs]), "weak") if is_level else None
    places = [0, *(10**power for power in range(6) if 10**power <= at.steps)]
    return Panel(title, tuple(ways), level, tuple((_x(place), f"{place}") for place in places))


def _x(step: float | None) -> float:
    """Steps by their logarithm, step 0 half a decade before step 1."""
    return math.log10(step) if step else -0.5


def _phase(results: Results, grid: Grid, name: str, parted: Boundary | None) -> Figure:
    cells = results.of(name)
    across = Axis("n_st", tuple(sorted({float(n) for n in grid.n_strong})))
    up = Axis("|nu|" if grid.over == "hard_norm" else "p_both", tuple(sorted(set(grid.values))))
    found = {(float(cell.point.n_strong), cell.value): cell.gain for cell in cells}
    shade = Shade("gain", min([0.0, *found.values()]), max([0.01, *found.values()]))
    title = f"Test accuracy above the supervisor's, over n_st and {up.name}"
    line = [] if parted is None else [(n, _on_line(grid, n, parted.c)) for n in _spaced(across)]
    line_name = (
        "no boundary" if parted is None else f"n p_b^2 |nu|^4 = {parted.c:.2g} sigma^4 d, C fitted to both diagrams"
    )
    alt = f"{title}: a grid of {len(cells)} cells, each with its number, and the boundary as a dashed line."
    seeds = len(grid.seeds)
    told = (
        f"Means over {seeds} seeds at the last step ({grid.base.steps}), d = {grid.base.dims}; every cell has {grid.base.n_test} test "
        "items of each type. The exponents of the line are the theory's, its constant is fitted."
    )
    head = (
        "n_st",
        up.name,
        "n p_b^2 |nu|^4 / (sigma^4 d)",
        "weak test",
        "test",
        "hard-only test",
        "training, weak labels",
    )
    rows = [_cell_row(cell) for cell in cells]
    svg = heat(f"phase-{name.replace('_', '-')}", across, up, found, shade, line, line_name, alt)
    return Figure(f"phase-{name.replace('_', '-')}", title, svg, told, head, tuple(rows))


def _cell_row(cell: Cell) -> tuple[str, ...]:
    at = cell.point
    seen = [words(spread([run.last[key] for run in cell.runs])) for key in ("test", "test_hard", "train_labels")]
    weak = words(spread([run.weak["test"] for run in cell.runs]))
    return (f"{at.n_strong}", f"{cell.value:g}", f"{at.ratio:.3g}", weak, *seen)


def _spaced(axis: Axis) -> list[float]:
    low, high = axis.values[0] / 2, axis.values[-1] * 2
    return [low * (high / low) ** (place / CURVE_POINTS) for place in range(CURVE_POINTS + 1)]


def _on_line(grid: Grid, n_strong: float, c: float) -> float:
    """The value of the grid's constant where the ratio is C."""
    base = grid.base
    if grid.over == "hard_norm":
        return math.pow(c * base.noise**4 * base.dims / (n_strong * base.p_both**2), 1 / 4) if base.p_both else 0.0
    return math.sqrt(c * base.noise**4 * base.dims / (n_strong * base.hard_norm**4))
