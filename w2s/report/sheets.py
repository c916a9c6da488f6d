"""What every form of a report says: the tables' cells, the line of facts, remarks and legends, as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from w2s.metrics import Fixed
from w2s.report import misfit_sheets, standings
from w2s.report.cells import UNKNOWN as UNKNOWN
from w2s.report.cells import Sheet as Sheet
from w2s.report.cells import interval as interval
from w2s.report.cells import seeds_text
from w2s.report.crowds import sheet as crowds_sheet
from w2s.report.curves import Curve
from w2s.report.diagnostics import Diagnosis, Scores
from w2s.report.summary import SIDES, Report, Row

HEAD = ("method", "floor", "transfer", "ceiling", "PGR", "agreement", "seeds")
MEANING = {
    "floor": "the weak supervisor",
    "transfer": "the strong student on its labels",
    "ceiling": "the strong model on the truth",
}
SCORES_HEAD = ("method", "labeller", "accuracy", "log loss", "Brier", "AUROC", "ECE", "seeds")
CURVES_HEAD = ("method", "student", "seed", "agreement by step", "first", "last", "kept", "steps", "chosen by")
SHOWN = 4  # missing stages named in text; JSON names all
BARS = "▁▂▃▄▅▆▇█"
WIDEST = 40  # looks a sparkline shows: of more, each bar is the mean of its share


def sheets(report: Report) -> tuple[Sheet, ...]:
    """The tables of a report, in order: the methods, and those that were asked for besides."""
    main = Sheet("", HEAD, tuple(cells(row) for row in report.rows), (*remarks(report), *legend(report)))
    more: list[Sheet] = [] if report.ranking is None else [*standings.sheets(report.ranking)]
    more += [] if report.misfits is None else misfit_sheets.section(report.misfits)
    if report.diagnoses is not None:
        more += [*_beside(report.diagnoses), *_calibrated(report.diagnoses)]
        scores = tuple(_scores(found.method, one) for found in report.diagnoses for one in found.scores)
        more.append(Sheet("Labellers", SCORES_HEAD, scores, SCORES_LEGEND))
        more += crowds_sheet(report.crowds or ())
    if report.curves is not None:
        lines = tuple(_curve(curve) for curve in report.curves)
        notes = (*_unseen(report.curves), *CURVES_LEGEND) if lines else ("no method here has a student",)
        more.append(Sheet("Learning curves", CURVES_HEAD, lines, notes))
    return (main, *more)


# --- the methods --------------------------------------------------------------------------------------------------


def facts(report: Report) -> str:
    """The line that every table needs beside it."""
    n_test = UNKNOWN if report.n_test is None else f"{report.n_test:,}"
    majority = UNKNOWN if report.majority is None else f"{report.majority:.3f}"
    return (
        f"{report.task}: {report.weak} -> {report.strong}; test rows {n_test}, chance {report.chance:.3f}, "
        f"majority class {majority}"
    )


def legend(report: Report) -> list[str]:
    """What the numbers are and how the intervals were made."""
    resampled = "test rows and seeds" if any(len(row.seeds) > 1 for row in report.rows) else "test rows (one seed)"
    if report.rows and all(row.sides != SIDES for row in report.rows):
        named = [f"{side}: {MEANING[side]}" for side in SIDES if any(side in row.sides for row in report.rows)]
        return [
            f"{'; '.join(named)}. No method here has all three of {', '.join(SIDES)}, so there is no PGR.",
            f"In brackets: {report.level:.0%} bootstrap intervals over {resampled}.",
        ]
    fixed = any(row.fixed is not None for row in report.rows)
    against = (
        "Floor and ceiling are fixed: means over all seeds that have one, the same for every student and taken as known, so that "
        "the interval of PGR is the student's alone; PGR"
        if fixed
        else "PGR is the ratio of the means over the same seeds of all three, and"
    )
    return [
        f"{'; '.join(f'{side}: {meaning}' for side, meaning in MEANING.items())}; "
        "PGR = (transfer - floor) / (ceiling - floor), the share of the gap that the student recovers.",
        f"In brackets: {report.level:.0%} paired bootstrap intervals over {resampled}. {against} is not given where the gap is "
        "under twice its standard error.",
    ]


def cells(row: Row) -> tuple[str, ...]:
    """One method's line as short texts."""
    compared = row.seeds and row.sides == SIDES
    pgr = UNKNOWN if not compared else row.verdict if row.pgr is None else interval(row.pgr, 2)
    agreement = UNKNOWN if row.agreement is None else f"{row.agreement:.3f}"
    return (
        row.method, interval(row.floor), interval(row.transfer), interval(row.ceiling), pgr, agreement, seeds_text(row.seeds)
    )  # fmt: skip


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def remarks(report: Report) -> list[str]:
    """Other labellers of a method one by one, what it was held against where that is fixed, and what is missing, by name."""
    lines: list[str] = []
    for row in report.rows:
        many = _many(row)
        lines += [f"{row.method}, {words}" for words in many.values()]
        for name, accuracies in row.members.items():
            if name.rpartition(" ")[0] in many:
                continue
            mean = row.member_means.get(name)
            over = "" if mean is None else f"{interval(mean)}; by seed "
            lines.append(f"{row.method}, {name}: accuracy {over}{', '.join(f'{value:.3f}' for value in accuracies)}")
        if row.fixed is not None:
            ends = f"floor {_fixed(row.fixed.floor)} and ceiling {_fixed(row.fixed.ceiling)}"
            lines.append(f"{row.method}: held against a fixed {ends}{_by_seed(row)}")
        if row.missing:
            counted = "1 stage is" if len(row.missing) == 1 else f"{len(row.missing)} stages are"
            lines.append(f"{row.method}: {counted} missing: {_named(row.missing)}")
    if report.finish is not None:
        lines.append(f"to do what is missing: {report.finish}")
    return lines


def _many(row: Row) -> dict[str, str]:
    """Labellers that are numbered, where there are more than a few: one line for all of a kind, by what they are called."""
    kinds: dict[str, list[str]] = {}
    for name in row.members:
        kind, _, number = name.rpartition(" ")
        if kind and number.isdigit():
            kinds.setdefault(kind, []).append(name)
    return {
        kind: f"{names[0]} to {names[-1].rpartition(' ')[2]}: mean accuracy over seeds "
        + ", ".join(f"{np.mean(row.members[name]):.3f}" for name in names)
        for kind, names in kinds.items()
        if len(names) > SHOWN
    }


def _by_seed(row: Row) -> str:
    """PGR of each seed against one gap, and its spread; nothing where there is no gap."""
    known = [value for value in row.per_seed_pgr if value is not None]
    if row.pgr is None or not known:
        return ""
    sd = f" (sd {np.std(known, ddof=1):.2f})" if len(known) > 1 else ""
    return f"; PGR by seed {', '.join(f'{value:.2f}' for value in known)}{sd}"


def _fixed(value: Fixed) -> str:
    return f"{value.mean:.3f} ({'one seed' if value.sd is None else f'sd {value.sd:.3f} over {value.n_seeds} seeds'})"


def _named(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return "; ".join(names[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


# --- diagnostics --------------------------------------------------------------------------------------------------

# title, digits, columns as they are headed and as a diagnosis calls them, what is said below: narrow enough for one line a method
BESIDE: tuple[tuple[str, int, dict[str, str], tuple[str, ...]], ...] = (
    (
        "Agreement with the supervisor",
        3,
        {
            "agreement": "agreement",
            "where right": "where_right",
            "where wrong": "where_wrong",
            "right where apart": "right_where_apart",
        },
        (
            "Equal choices of the student s and its supervisor w, also split by whether the supervisor is right; right where apart: "
            "the student's accuracy where they differ (rho). With two classes, transfer - floor = (1 - agreement) * (2 * rho - 1).",
        ),
    ),
    (
        "Misfit and gain by cross-entropy",
        4,
        {"KL(s, w)": "misfit_reverse", "CE gain": "gain_ce", "slack": "slack", "KL(w, s)": "misfit_forward"},
        (
            "KL(s, w) is the reverse misfit, KL(w, s) the forward; gain: the supervisor's loss less the student's. In nats, "
            "probabilities clipped at 1e-6 and not calibrated: a supervisor that is too sure inflates them.",
            "slack = CE gain - KL(s, w): at least 0 where the student minimises the reverse misfit over a convex class that holds "
            "the truth; real data seldom keeps it.",
        ),
    ),
    (
        "Misfit and gain by Brier score",
        4,
        {"misfit": "misfit_brier", "gain": "gain_brier"},
        ("Half the squared distance summed over classes: (s - w)^2 with two.",),
    ),
)
SCORES_LEGEND = ("AUROC and ECE (15 bins) are means over seeds; Brier is summed over classes, 0 to 2.",)


def _beside(diagnoses: Sequence[Diagnosis]) -> list[Sheet]:
    """Students beside their supervisors; what is missing is said below the first table."""
    there = [found for found in diagnoses if found.seeds or found.missing]
    missing = [
        f"{found.method}: left out here, as they are not there: {_named(found.missing)}"
        for found in there
        if found.missing
    ]
    made: list[Sheet] = []
    if not there:  # supervisors or ceilings alone
        return made
    for title, digits, columns, notes in BESIDE:
        lines = tuple(
            (
                found.method,
                *(interval(getattr(found, name), digits) for name in columns.values()),
                seeds_text(found.seeds),
            )
            for found in there
        )
        made.append(Sheet(title, ("method", *columns, "seeds"), lines, (*([] if made else missing), *notes)))
    return made


CALIBRATED = {
    "KL(s, w)": "calibrated_misfit_reverse",
    "CE gain": "calibrated_gain_ce",
    "slack": "calibrated_slack",
    "KL(w, s)": "calibrated_misfit_forward",
}
CALIBRATED_LEGEND = (
    "As above, with each supervisor at the temperature (mean over seeds; above 1: it was too sure) that makes the log loss of its "
    "held-out rows least: fitted on their truth, for this table alone, between 0.01 and 100.",
)


def _calibrated(diagnoses: Sequence[Diagnosis]) -> list[Sheet]:
    """Students beside calibrated supervisors; nothing where no supervisor was asked about held-out rows."""
    there = [found for found in diagnoses if found.temperatures]
    if not there:
        return []
    lines = tuple(
        (
            found.method,
            _number(found.temperature),
            *(interval(getattr(found, name), 4) for name in CALIBRATED.values()),
            seeds_text(found.calibrated_seeds),
        )
        for found in there
    )
    without = [found.method for found in diagnoses if found.seeds and not found.temperatures]
    notes = [f"{method}: left out here, its supervisor was asked about no held-out rows" for method in without]
    head = ("method", "temperature", *CALIBRATED, "seeds")
    return [Sheet("Misfit and gain by cross-entropy, supervisor calibrated", head, lines, (*notes, *CALIBRATED_LEGEND))]


def _scores(method: str, found: Scores) -> tuple[str, ...]:
    spans = (interval(found.accuracy), interval(found.log_loss), interval(found.brier))
    return (method, found.labeller, *spans, _number(found.auroc), _number(found.ece), seeds_text(found.seeds))


# --- learning curves ----------------------------------------------------------------------------------------------

CURVES_LEGEND = (
    "agreement: with held-out labels of the kind the student learns from (oracle: with the truth), at each look; bars run from the "
    "least of a curve to its greatest. kept: the step whose weights the student has, and its agreement.",
)
CHOSEN = {"last": "last step", "best": "agreement", "oracle": "ground truth (oracle)"}


def _curve(curve: Curve) -> tuple[str, ...]:
    start = (curve.method, curve.student, str(curve.seed))
    chosen = CHOSEN.get(curve.select, curve.select)
    if curve.missing is not None:
        return (*start, *[UNKNOWN] * 5, chosen)
    looks = [point.agreement for point in curve.points]
    ends = (f"{looks[0]:.3f}", f"{looks[-1]:.3f}") if looks else (UNKNOWN, UNKNOWN)
    kept = UNKNOWN if curve.selected_step is None else f"step {curve.selected_step}"
    if curve.selected is not None:
        kept = f"{kept} ({curve.selected.agreement:.3f})"
    planned = UNKNOWN if curve.steps is None else str(curve.steps)
    if curve.planned_steps is not None and curve.steps != curve.planned_steps:
        planned = f"{planned} of {curve.planned_steps}"
    return (*start, sparkline(looks) or UNKNOWN, *ends, kept, planned, chosen)


def sparkline(values: Sequence[float]) -> str:
    """A bar a value, from the least to the greatest; of more than 40, each bar is the mean of its share."""
    if len(values) > WIDEST:
        edges = [len(values) * i // WIDEST for i in range(WIDEST + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return BARS[3] * len(values)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in values)


def _unseen(curves: Sequence[Curve]) -> list[str]:
    """Which models are not there, and which nobody looked at."""
    names = [curve.missing for curve in curves if curve.missing is not None]
    lines = [f"not trained yet: {_named(names)}"] if names else []
    blind = [f"{c.method}, {c.student} s{c.seed}" for c in curves if c.missing is None and not c.points]
    if blind:
        lines.append(f"nobody looked (set evaluate, or a probe's optimizer: adam): {_named(blind)}")
    return lines
