"""A finished misfit bench as a page's content: what it is, claims, figures, and its numbers for other programs."""

from __future__ import annotations

from cluster.store import Store
from w2s.bench_theory.misfit.config import Bench
from w2s.bench_theory.misfit.figures import HEAD, figures, row
from w2s.bench_theory.misfit.results import Results, load
from w2s.bench_theory.misfit.verdicts import claims
from w2s.bench_theory.page import Sheet, Told

ABOUT = (
    "Gain is how much nearer the student is to the truth than its supervisor, misfit how far it is from its "
    "supervisor. Misfit needs no ground truth. A student that minimises the loss to its supervisor over a convex "
    "class that holds the truth gains at least its misfit; over a linear class, exactly that (Charikar, Pabbaraju, "
    "Shiragur 2024; for reverse KL Mulgund and Pabbaraju 2025).",
    "The sizes of the synthetic regression are from memory of the paper and scaled down by default; how "
    "representations are pretrained and perturbed, and all else, is our own choice. Brackets are 95 % bootstrap "
    "intervals over seeds, and tasks within each.",
)


def tell(bench: Bench, store: Store, command: str) -> Told:
    """Everything that the page, the drawings and the CSV files say. Raises StageFailed where a simulation is missing."""
    results = load(bench, store)
    return Told(
        title="Gain against misfit",
        about=ABOUT,
        claims=tuple(claims(results)),
        figures=tuple(figures(results)),
        sheets=(Sheet("families", HEAD, [row(family) for family in results.families.values()]), _tasks(results)),
        settings=bench,
        command=command,
    )


def _tasks(results: Results) -> Sheet:
    rows = [
        (name, seed, task, outcome.weak, outcome.student, outcome.gain, outcome.misfit)
        for name, family in results.families.items()
        for seed, tasks in zip(family.seeds, family.outcomes, strict=True)
        for task, outcome in enumerate(tasks)
    ]
    return Sheet("tasks", ("family", "seed", "task", "weak_error", "student_error", "gain", "misfit"), rows)
