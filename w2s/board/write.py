"""All TensorBoard runs of a recipe, written anew from its receipts: quickly at the end of a run, with figures when asked.

STORE/tensorboard/recipes/RECIPE-FINGERPRINT/    the results, as runs of their own
STORE/reports/RECIPE-FINGERPRINT/tensorboard/    the recipe's root: these and its stages' curves, by role
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster import event_files, event_values
from cluster.store import Store
from cluster.watch import curve_folder
from w2s import bridge
from w2s.board.columns import columns, experiment, session
from w2s.board.labellers import labellers
from w2s.board.links import link_runs
from w2s.board.names import BY_SEED, COLUMNS, FIGURES, RESULTS, SUMMARY, method_names, roles, seed_name
from w2s.board.over_seeds import layout, over_seeds
from w2s.board.scores import Line, Told, told_of
from w2s.board.texts import disagreements, manifest_text, recipe_text, test_texts
from w2s.recipe import Recipe
from w2s.report.reading import Reader
from w2s.stages import Rows

MOST_DRAWN = 40  # method and seed pairs that have figures: some tenths of a second each
SHOWN = 40
"""Runs at most that TensorBoard shows unasked; of more it shows none until some are chosen. So runs are few."""

Values = list[tuple[int, Any]]


def board_root(recipe: Recipe, store: Store) -> Path:
    """The folder that TensorBoard reads to show a recipe."""
    return store.reports / _own(recipe) / "tensorboard"


def write_board(recipe: Recipe, store: Store, *, figures: bool = False) -> Path:
    """Write all runs of a recipe as far as the store holds it; what says the same already is left alone. Returns their root.

    Without `figures` those that are there stay. Raises StageFailed for a damaged result, BadEnvironment.
    """
    told = told_of(recipe, store)
    results, root = store.tensorboard / "recipes" / _own(recipe), board_root(recipe, store)
    runs = dict(_runs(told, store))
    if figures and (drawn := _figures(told)):
        runs[FIGURES] = drawn
    for name, values in runs.items():
        event_files.write_run(results / name, values)
    kept = {*runs, FIGURES} if (results / FIGURES).is_dir() else {*runs}
    event_files.clear(results, kept)
    # not among the results: TensorBoard takes the first columns it finds for those of all that it shows, and the whole
    # store may hold many recipes
    event_files.write_run(root / COLUMNS, [(0, experiment(told))])
    event_files.clear(root, {COLUMNS})  # of a store that was copied with links followed: runs where links should be
    link_runs(root, {**_stages(told, store), **{run: results / run for run in sorted(kept)}})
    return root


def count_runs(root: Path) -> int:
    """Folders below a root that hold event files, as TensorBoard counts runs."""
    return sum(
        any(name.startswith(event_files.PREFIX) for name in files) for _, _, files in os.walk(root, followlinks=True)
    )


def _own(recipe: Recipe) -> str:
    return f"{recipe.name}-{recipe.fingerprint}"


def _runs(told: Told, store: Store) -> Iterator[tuple[str, Values]]:
    """Each run's name and what it says; a run that would say nothing is left out."""
    from w2s.report.render import markdown

    recipe, reader = told.recipe, Reader(store)
    yield (
        SUMMARY,
        [
            (0, event_values.text("results", markdown(told.report))),
            (0, event_values.text("recipe", recipe_text(recipe))),
            (0, event_values.text("manifest", manifest_text(recipe, store))),
            (0, layout(told)),
        ],
    )
    chosen, apart = columns(told), _Apart(told, store)
    for line in told.lines:
        points = over_seeds(line, told)
        if points:
            yield f"{line.name}/{BY_SEED}", points
        for seed in line.seeds:
            values = session(told, line, seed, chosen[line.name, seed])
            examples = apart.text(line, seed)
            more = [] if examples is None else [(0, event_values.text("where student and supervisor differ", examples))]
            yield f"{line.name}/{seed_name(seed)}/{RESULTS}", [*values, *labellers(line, seed, recipe, reader), *more]


class _Apart:
    """Examples on which students and their supervisors differ; the rows' texts are read once, and only if wanted."""

    def __init__(self, told: Told, store: Store) -> None:
        self._rows, self._store = Rows(told.recipe.task), store
        self._texts: tuple[tuple[str, ...], dict[str, str]] | None = None

    def text(self, line: Line, seed: int) -> str | None:
        pair = next((pair for pair in (line.evidence.pairs if line.evidence else ()) if pair.seed == seed), None)
        if pair is None or line.evidence is None:
            return None
        if self._texts is None:
            self._texts = test_texts(self._rows, self._store)
        ids, texts = self._texts
        return disagreements(pair.student_NC, pair.supervisor_NC, line.evidence.truth_N, ids, texts)


def _figures(told: Told) -> Values:
    """Of each method and seed whose labellers have said anything; of many the first."""
    from w2s.board.pictures import pictures

    found: Values = []
    pairs = [(line, seed) for line in told.lines for seed in line.seeds]
    for line, seed in pairs[:MOST_DRAWN]:
        by_side = {} if line.evidence is None else line.evidence.labellers
        known = {side: by_side[side][seed] for side in line.row.sides if seed in by_side.get(side, {})}
        if known and line.evidence is not None:
            who = f"{line.row.method}, seed {seed}"
            tag = line.tag(f"{line.name}/{seed_name(seed)}")
            found += [(0, value) for value in pictures(tag, known, line.evidence.truth_N, who)]
    return found


def _stages(told: Told, store: Store) -> dict[str, Path]:
    """Curves by role: `confidence/seed 0/student` -> the folder that its stage writes them to."""
    names = method_names(told.recipe.methods)
    return {
        f"{names[config]}/{seed_name(seed)}/{role}": curve_folder(store.tensorboard, stage.key, bridge.name(stage))
        for config, by_seed in told.recipe.outcomes.items()
        for seed, outcome in by_seed.items()
        for role, stage in roles(outcome).items()
    }
