"""The supervisor's temperature: fitted on the held-out rows it was asked about anyway, on no others, and misfit at it."""

# N rows, C classes

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.errors import StageFailed
from cluster.store import Store
from tests.w2s.report.finished import RECIPE, toy
from w2s.metrics import at_temperature, fit_temperature, log_loss, misfit_terms
from w2s.report.diagnostics import CALIBRATED, Diagnosis, Evidence, HeldOut, Pair, diagnose
from w2s.report.gather import evidence, gather
from w2s.stages import Labels, Rows

OUTCOMES = list(RECIPE.outcomes.values())


def diagnoses(store: Store) -> tuple[Diagnosis, ...]:
    return tuple(diagnose(one, 0.95) for one in evidence(RECIPE, gather(RECIPE, store), store))


def held_out(place: int, seed: int) -> Labels:
    """The supervisor's labels of the held-out rows, as the student's learning curve needs them."""
    transfer = OUTCOMES[place][seed].transfer
    assert transfer is not None
    assert transfer.supervisor is not None
    return transfer.supervisor.on(RECIPE.world(seed).part("val"))


def probs(store: Store, stage: Labels) -> dict[str, list[float]]:
    return {row["id"]: row["probs"] for row in pq.read_table(store.path(stage.key) / "labels.parquet").to_pylist()}


def truth(store: Store) -> dict[str, int]:
    return {r["id"]: r["label"] for r in pq.read_table(store.path(Rows(RECIPE.task).key) / "rows.parquet").to_pylist()}


@pytest.mark.parametrize("place", [0, 1], ids=["ensemble", "naive"])
def test_the_temperature_is_that_of_the_held_out_rows_in_the_files(finished: Store, place: int) -> None:
    found, labels = diagnoses(finished)[place], truth(finished)
    assert found.calibrated_seeds == (0, 1)
    for seed, temperature in zip(found.calibrated_seeds, found.temperatures, strict=True):
        assert held_out(place, seed).key in RECIPE.graph(), "no stage is made for the report"
        table = probs(finished, held_out(place, seed))
        p_NC, y_N = np.array([*table.values()]), np.array([labels[i] for i in table])
        assert temperature == pytest.approx(fit_temperature(p_NC, y_N))
        for other in (0.9 * temperature, 1.1 * temperature):
            if 0.01 <= other <= 100:
                assert log_loss(at_temperature(p_NC, temperature), y_N) <= log_loss(at_temperature(p_NC, other), y_N)
        test = set(probs(finished, OUTCOMES[place][seed].sides()["transfer"].labels))
        assert not test & set(table), "no test row has a say"


def test_misfit_is_beside_the_supervisor_at_its_temperature(finished: Store) -> None:
    one, labels = diagnoses(finished)[1], truth(finished)
    means: dict[str, list[float]] = {}
    for seed, temperature in zip(one.calibrated_seeds, one.temperatures, strict=True):
        sides = OUTCOMES[1][seed].sides()
        student, weak = (probs(finished, sides[side].labels) for side in ("transfer", "floor"))
        s_NC, y_N = np.array([*student.values()]), np.array([labels[i] for i in student])
        terms = misfit_terms(s_NC, at_temperature(np.array([weak[i] for i in student]), temperature), y_N)
        for name in CALIBRATED:
            means.setdefault(name, []).append(float(terms[name].mean()))
    for name in CALIBRATED:
        assert getattr(one, f"calibrated_{name}").mean == pytest.approx(np.mean(means[name]), rel=1e-4, abs=1e-9)


def test_where_no_held_out_labels_are_there_is_no_temperature_and_nothing_missing(copy: Store) -> None:
    """One seed's are cleared away: the other's stand; nobody is told to run anything for that."""
    whole = diagnoses(copy)[1]
    copy.delete(held_out(1, 1).key)
    part = diagnoses(copy)[1]
    assert (part.calibrated_seeds, part.temperatures) == ((0,), whole.temperatures[:1])
    assert (part.seeds, part.missing, part.misfit_reverse) == (whole.seeds, (), whole.misfit_reverse)
    copy.delete(held_out(1, 0).key)
    none = diagnoses(copy)[1]
    assert (none.temperature, none.calibrated_misfit_reverse, none.calibrated_seeds) == (None, None, ())


def test_a_student_that_nobody_watches_leaves_none(finished: Store) -> None:
    recipe = toy(strong__evaluate="never")
    graph = recipe.graph()
    for seed, outcome in next(iter(recipe.outcomes.values())).items():
        assert outcome.transfer is not None
        assert outcome.transfer.supervisor is not None
        assert outcome.transfer.supervisor.on(recipe.world(seed).part("val")).key not in graph


def test_a_supervisor_that_is_too_sure_is_cooled_and_its_misfit_shrinks() -> None:
    """Probabilities made three times as sure as they are right: the temperature is three, and the inflated misfit goes."""
    rng = np.random.default_rng(0)
    p_N = rng.uniform(0.05, 0.95, size=20_000)
    y_N = (rng.random(len(p_N)) < p_N).astype(np.int64)
    honest_NC = np.stack([1 - p_N, p_N], axis=-1)
    sure_NC = at_temperature(honest_NC, 1 / 3)
    pair = Pair(0, honest_NC[:500], sure_NC[:500], HeldOut(sure_NC[500:], y_N[500:]))
    found = diagnose(Evidence("naive", y_N[:500], (pair,), {}), 0.95)
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.misfit_reverse is not None
    assert found.calibrated_misfit_reverse is not None
    assert found.misfit_reverse.mean > 0.1
    assert found.calibrated_misfit_reverse.mean < 0.01
    assert math.isfinite(found.calibrated_misfit_reverse.mean)


def test_damaged_held_out_labels_are_a_problem_with_a_remedy(copy: Store) -> None:
    key = held_out(1, 0).key
    (copy.path(key) / "labels.parquet").write_bytes(b"PAR1")
    with pytest.raises(StageFailed, match=r"labels\.parquet"):
        diagnoses(copy)
