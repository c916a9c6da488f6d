"""A finished CNN bench as a page's content: what it is, claims, figures, and its numbers for other programs."""

from __future__ import annotations

from cluster.store import Store
from w2s.bench_theory.cnn.config import Bench
from w2s.bench_theory.cnn.figures import figures
from w2s.bench_theory.cnn.results import Results, load
from w2s.bench_theory.cnn.verdicts import claims
from w2s.bench_theory.page import Sheet, Told

ABOUT = (
    "Items have three patches: an easy signal that a linear model can read, a hard one whose sign is a coin's and "
    "that only a nonlinear model can read, and noise. A linear CNN learns the truth, and guesses on items that have "
    "the hard signal alone. A two-layer ReLU CNN learns from its labels, by full-batch gradient descent. With few "
    "items it learns every wrong label by heart, which harms or does not; with many it first corrects them, and "
    "learns them by heart later (Oh, Song, Yun: From Linear to Nonlinear, NeurIPS 2025).",
    "The paper's exact definitions (norms, dimension, filters, step sizes, noise) were not available: all constants "
    "are our own choices. What is compared is what theory says of kinds and orders, not the paper's numbers. The best "
    "step is chosen by ground truth wherever one is named: an upper bound, which a real student cannot know.",
)


def tell(bench: Bench, store: Store, command: str) -> Told:
    """Everything that the page, the drawings and the CSV files say. Raises StageFailed where a simulation is missing."""
    results = load(bench, store)
    return Told(
        title="Weak to strong, from a linear to a nonlinear CNN",
        about=ABOUT,
        claims=tuple(claims(bench, results)),
        figures=tuple(figures(bench, results)),
        sheets=(_curves(results), _phase(results)),
        settings=bench,
        command=command,
    )


def _curves(results: Results) -> Sheet:
    measures = [name for name in next(iter(results.scenes.values()))[0].records[0] if name != "step"]
    rows = [
        (scene, run.seed, run.weak["test"], record["step"], *(record[name] for name in measures))
        for scene, runs in results.scenes.items()
        for run in runs
        for record in run.records
    ]
    return Sheet("curves", ("scene", "seed", "weak_test", "step", *measures), rows)


def _phase(results: Results) -> Sheet:
    measures = ("test", "test_hard", "train_labels")
    rows = [
        (
            cell.grid, cell.point.n_strong, cell.point.hard_norm, cell.point.p_both, cell.point.dims, cell.point.ratio, run.seed,
            run.weak["test"], *(run.last[name] for name in measures),
        )
        for cell in results.cells
        for run in cell.runs
    ]  # fmt: skip
    return Sheet("phase", ("grid", "n_st", "hard_norm", "p_both", "d", "ratio", "seed", "weak_test", *measures), rows)
