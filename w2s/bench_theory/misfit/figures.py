"""The drawings of the misfit bench: gain against misfit, family by family, and along the sweep."""

from __future__ import annotations

from collections.abc import Sequence

from w2s.bench_theory.misfit.entropy import FORWARD, LOGISTIC, MIXTURE
from w2s.bench_theory.misfit.results import Family, Place, Results
from w2s.bench_theory.misfit.squared import CONE, LINEAR
from w2s.bench_theory.misfit.verdicts import told_line
from w2s.bench_theory.page import Figure
from w2s.shown.drawing import Look
from w2s.shown.panels import Axes, Panel, Way, panels

POINT = Look("honest", "circle")
SHOWN = 400  # tasks in one panel
SETTINGS = ("realizable", "pretrained", "perturbed")
HEAD = (
    "family",
    "tasks",
    "seeds",
    "weak error",
    "student error",
    "mean gain",
    "mean misfit",
    "slope",
    "correlation",
    "gain / misfit",
)


def figures(results: Results) -> list[Figure]:
    """Exact families, the regression's settings, and the sweep where there is one."""
    families, on_line = (
        results.families,
        "Gain equals misfit on the dashed line; theory puts convex classes on it or above.",
    )
    found = [
        _scatter(
            "squared", "Gain against misfit, squared loss", [families[LINEAR], families[CONE]], f"A point a task. {on_line}"
        ),
        _scatter(
            "entropy", "Gain against misfit, KL in nats", [families[MIXTURE], families[LOGISTIC], families[FORWARD]],
            f"A point a task; misfit is KL(student || supervisor). {on_line} Only mixtures are convex.",
        ),
        _scatter(
            "regression", "Gain against misfit, synthetic regression", [results.families[name] for name in SETTINGS],
            "A point a finetuning task, on fresh inputs; squared loss.",
        ),
    ]  # fmt: skip
    return [*found, _sweep(results.sweep)] if results.sweep else found


def _scatter(name: str, title: str, families: Sequence[Family], told: str) -> Figure:
    drawn = [_panel(family) for family in families]
    alt = f"{title}: a point a task, a panel each for {', '.join(family.name for family in families)}; the diagonal is dashed."
    svgs = panels(name, drawn, {"tasks": POINT}, Axes(x="misfit", y="gain", diagonal=True), alt)
    left = sum(family.of("gain").size > SHOWN for family in families)
    more = f" Panels show {SHOWN} tasks at most; the numbers are of all." if left else ""
    return Figure(name, title, svgs, told + more, HEAD, tuple(row(family) for family in families))


def _panel(family: Family) -> Panel:
    pairs = list(zip(family.of("misfit").ravel().tolist(), family.of("gain").ravel().tolist(), strict=True))
    step = -(-len(pairs) // SHOWN)
    return Panel(family.name, (Way("tasks", tuple(pairs[::step]), joined=False, fade=0.6),))


def row(family: Family) -> tuple[str, ...]:
    """One line of the table: means over tasks and seeds, then the line through them with bootstrap intervals."""
    means = [f"{family.of(measure).mean():.4g}" for measure in ("weak", "student", "gain", "misfit")]
    return (family.name, f"{family.of('gain').shape[1]}", f"{len(family.seeds)}", *means, *told_line(family))


def _sweep(places: Sequence[Place]) -> Figure:
    """A panel for each student: gain and misfit over how far the weak representation is from h*."""
    looks = {"gain": POINT, "misfit": Look("oracle", "diamond", "7 3")}
    drawn = []
    for strong in dict.fromkeys(place.strong_noise for place in places):
        own = [place for place in places if place.strong_noise == strong]
        ways = [
            Way(measure, tuple((place.weak_noise, float(place.family.of(measure).mean())) for place in own))
            for measure in looks
        ]
        drawn.append(Panel(f"student's noise {strong:g}", tuple(ways)))
    title = "Gain and misfit by the noise in both representations (perturbed)"
    alt = f"{title}: lines of mean gain and mean misfit over the weak noise, a panel a strong noise."
    svg = panels("sweep", drawn, looks, Axes(x="noise in the weak representation", y="squared loss"), alt)
    rows = tuple((f"{place.strong_noise:g}", f"{place.weak_noise:g}", *row(place.family)[1:]) for place in places)
    return Figure("sweep", title, svg, "Means over tasks and seeds.", ("strong noise", "weak noise", *HEAD[1:]), rows)
