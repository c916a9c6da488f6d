"""The claims of the misfit bench: where gain and misfit must be equal, where one bounds the other, and where neither is promised."""

from __future__ import annotations

import math

from w2s.bench_theory.claims import Claim
from w2s.bench_theory.misfit.entropy import FORWARD, LOGISTIC, MIXTURE
from w2s.bench_theory.misfit.results import Family, Results
from w2s.bench_theory.misfit.squared import CONE, LINEAR
from w2s.bench_theory.spread import interval_words
from w2s.metrics import Interval

EXACT = 1e-12  # of the weak error: squared loss on a fixed set is linear algebra
SOLVED = 1e-6  # of the weak error: the mixture's optimizer comes within a tenth of that
NEAR = (0.9, 1.1)  # mean gain over mean misfit where equality is expected but not exact
CORRELATED, FOLLOWS = 0.9, 0.7  # correlation over tasks: with the truth in the student's class, and without

CHARIKAR, MULGUND, OURS = "Charikar et al. 2024, Thm 1", "Mulgund & Pabbaraju 2025", "our check"
NOT_REALIZABLE = "Charikar et al. 2024, not realizable; thresholds ours"
NOT_CONVEX = "no theorem: the class is not convex"


def claims(results: Results) -> list[Claim]:
    """Every claim."""
    families = results.families
    return [
        _equal(families[LINEAR]),
        _bounded(families[CONE], CHARIKAR, EXACT),
        _bounded(families[MIXTURE], MULGUND, SOLVED),
        _near(families[LOGISTIC], "logistic heads, reverse KL: gain is close to misfit", OURS, judged=True),
        _violated(families[FORWARD]),
        *_regression(families["realizable"], "realizable", "gain is misfit but for sampling error", judged=True),
        *_regression(families["pretrained"], "pretrained", "gain follows misfit", judged=False),
        *_regression(families["perturbed"], "perturbed", "gain follows misfit", judged=False),
    ]


def _counted(family: Family) -> str:
    return f"{family.of('gain').size} tasks, {len(family.seeds)} seeds"


def _equal(family: Family) -> Claim:
    relative = abs(family.of("gain") - family.of("misfit")) / family.of("weak")
    worst = float(relative.max())
    return Claim(
        "projection onto a linear class that holds the truth: gain = misfit", CHARIKAR, f"equal to {EXACT:.0e} of the weak error",
        f"largest difference {worst:.1e} ({_counted(family)})", worst <= EXACT,
    )  # fmt: skip


def _bounded(family: Family, source: str, slack: float) -> Claim:
    over = (family.of("gain") - family.of("misfit")) / family.of("weak")
    strictly = float((over > 100 * slack).mean())
    return Claim(
        f"{family.name} that holds the truth: gain >= misfit", source, f"never less by more than {slack:.0e} of the weak error",
        f"least difference {float(over.min()):.1e}; above it in {strictly:.0%} of {_counted(family)}", float(over.min()) >= -slack,
    )  # fmt: skip


def _near(family: Family, what: str, source: str, *, judged: bool) -> Claim:
    found = family.line
    if found is None:
        return Claim(
            what,
            source,
            f"mean gain / mean misfit in [{NEAR[0]}, {NEAR[1]}]",
            "they do not vary",
            False if judged else None,
        )
    holds = NEAR[0] <= found.ratio.mean <= NEAR[1]
    seen = f"{interval_words(found.ratio)} ({_counted(family)})"
    return Claim(what, source, f"mean gain / mean misfit in [{NEAR[0]}, {NEAR[1]}]", seen, holds if judged else None)


def _violated(family: Family) -> Claim:
    """How often the inequality fails where nothing promises it."""
    less = float((family.of("gain") < family.of("misfit")).mean())
    found = family.line
    ratio = "" if found is None else f"; mean gain / mean misfit {interval_words(found.ratio)}"
    return Claim(
        "logistic heads, cross-entropy: a student may gain less than its misfit", NOT_CONVEX, "nothing is promised",
        f"less in {less:.0%} of {_counted(family)}{ratio}", None,
    )  # fmt: skip


def _regression(family: Family, setting: str, what: str, *, judged: bool) -> list[Claim]:
    found = family.line
    if found is None:
        return [
            Claim(f"regression, {setting}: {what}", CHARIKAR, "a line", "they do not vary", False if judged else None)
        ]
    seen = (
        f"slope {interval_words(found.slope)}, gain / misfit {interval_words(found.ratio)}, r {interval_words(found.correlation)} "
        f"({_counted(family)})"
    )
    if judged:
        near = NEAR[0] <= found.slope.mean <= NEAR[1] and NEAR[0] <= found.ratio.mean <= NEAR[1]
        expected = f"slope and gain / misfit in [{NEAR[0]}, {NEAR[1]}], r above {CORRELATED}"
        return [
            Claim(
                f"regression, {setting}: {what}", CHARIKAR, expected, seen, near and found.correlation.mean > CORRELATED
            )
        ]
    expected = f"mean gain above 0, r above {FOLLOWS}; below misfit by as much as the truth is out of the class"
    holds = float(family.of("gain").mean()) > 0 and found.correlation.mean > FOLLOWS
    return [Claim(f"regression, {setting}: {what}", NOT_REALIZABLE, expected, seen, holds)]


def told_line(family: Family) -> tuple[str, str, str]:
    """Slope, correlation and ratio as text, each with its 95 % interval; where the two are equal, intervals have no width."""
    found = family.line
    if found is None:
        return ("-", "-", "-")
    return tuple(_finite(part) for part in (found.slope, found.correlation, found.ratio))  # type: ignore[return-value]


def _finite(found: Interval) -> str:
    return interval_words(found) if math.isfinite(found.mean) else "-"
