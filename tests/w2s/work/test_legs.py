"""A training run in legs: in a row they are the uncut run to the bit, whoever shares a beginning shares its legs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadInput, Interrupted, StageFailed
from tests.conftest import toy_recipe
from tests.w2s.work.gang import Case, run, stop_after
from tests.w2s.work.run_stage import Bench, weights
from w2s.methods import confidence
from w2s.recipe import Recipe
from w2s.stages import Leg, Train

ALPHAS = (0.1, 0.8, 0.4)


def schooled(alphas: Any = ALPHAS, **changes: Any) -> dict[str, Any]:
    """A tiny BERT with dropout under AdamW; 14 steps, which three legs do not divide."""
    method = {"kind": "confidence", "alpha": alphas, "warmup": 0.3}
    changes = {"strong__dropout": True, "strong__epochs": 2, "strong__evaluate": 3, **changes}
    return toy_recipe(method=method, baselines=[], **changes)


def legs(recipe: Recipe, alphas: tuple[float, ...] = ALPHAS, count: int | None = None) -> list[Train]:
    method: Any = recipe.method
    return confidence.legs(recipe.world(0), method, alphas, count or len(alphas))


def uncut(recipe: Recipe) -> Train:
    return next(s for s in recipe.graph().values() if isinstance(s, Train) and s.labels is not None)


def curve(out: Path) -> dict[int, dict[str, float]]:
    return {point["step"]: point for point in json.loads((out / "curve.json").read_text())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Train, dict[str, Any]]:
    """The uncut run, and what its legs read."""
    recipe = Recipe.model_validate(schooled())
    bench, stage = Bench(recipe, tmp_path_factory.mktemp("legs")), uncut(recipe)
    bench.prepare(stage)
    metrics, _ = bench.run(stage)
    return bench, stage, metrics


@pytest.fixture(scope="module")
def row(whole: tuple[Bench, Train, dict[str, Any]]) -> tuple[list[Train], list[dict[str, Any]]]:
    """The legs one after another, the second of them broken in its middle and mended; and their metrics."""
    bench, made = whole[0], legs(whole[0].recipe)
    first, _ = bench.run(made[0])
    with pytest.raises(Interrupted, match="stopped at step 7 of 14"):
        bench.run(made[1], stop=stop_after(2), work="again")
    second, ledger = bench.run(made[1], work="again")
    assert ledger.notes[-1] == "resumed at step 7 of 14"
    last, ledger = bench.run(made[2])
    assert ledger.notes[-1] == "leg 3/3 goes on from step 10 of 14"
    return made, [first, second, last]


def test_legs_in_a_row_are_the_uncut_run_bit_for_bit(
    whole: tuple[Bench, Train, dict[str, Any]], row: tuple[list[Train], list[dict[str, Any]]]
) -> None:
    (bench, stage, metrics), (made, told) = whole, row
    assert weights(bench.out(made[-1])) == weights(bench.out(stage))
    assert weights(bench.out(made[0])) != weights(bench.out(stage))
    found, wanted = curve(bench.out(made[-1])), curve(bench.out(stage))
    assert set(wanted) < set(found)
    assert {step: found[step] for step in wanted} == wanted
    assert {**told[-1], "tokens_per_s": 0} == {**metrics, "tokens_per_s": 0}


def test_every_leg_is_evaluated_at_its_end_and_tells_it(
    whole: tuple[Bench, Train, dict[str, Any]], row: tuple[list[Train], list[dict[str, Any]]]
) -> None:
    made, told = row
    assert [metrics["steps"] for metrics in told] == [5, 10, 14]
    assert {metrics["planned_steps"] for metrics in told} == {14}
    for stage, metrics in zip(made, told, strict=True):
        last = max(curve(whole[0].out(stage)).values(), key=lambda point: point["step"])
        assert last["step"] == metrics["steps"]
        assert {f"val_{name}": value for name, value in last.items() if name != "step"}.items() <= metrics.items()


def test_all_but_the_last_leave_their_state(
    whole: tuple[Bench, Train, dict[str, Any]], row: tuple[list[Train], list[dict[str, Any]]]
) -> None:
    bench, made = whole[0], row[0]
    left = [sorted(f.name for f in (bench.out(stage) / "state").glob("*")) for stage in made]
    assert left == [["step-000000005"], ["step-000000010"], []]
    assert not (bench.out(whole[1]) / "state").exists()


def test_another_branch_begins_where_the_common_leg_ended(
    whole: tuple[Bench, Train, dict[str, Any]], row: tuple[list[Train], list[dict[str, Any]]]
) -> None:
    """As a population does: the first leg is there already, and the second with another alpha is another model."""
    bench = whole[0]
    first, other = legs(bench.recipe, (0.1, 0.0), count=3)
    assert first.key == row[0][0].key
    bench.run(other)
    assert weights(bench.out(other)) != weights(bench.out(row[0][1]))


@pytest.mark.parametrize("harm", ["flip", "gone", "another version"])
def test_a_leg_without_the_state_before_it_fails_and_says_what_to_do(
    harm: str, whole: tuple[Bench, Train, dict[str, Any]], row: tuple[list[Train], list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Never from the beginning: its key promises otherwise."""
    bench, (first, second, _) = whole[0], row[0]
    state = bench.out(first) / "state"
    kept = state.rename(tmp_path / "kept")
    try:
        if harm != "gone":
            shutil.copytree(kept, state)
            folder = state / "step-000000005"
            if harm == "flip":
                raw = bytearray((folder / "tensors-00000.safetensors").read_bytes())
                raw[-1] ^= 1
                (folder / "tensors-00000.safetensors").write_bytes(raw)
            else:
                manifest = json.loads((folder / "manifest.json").read_text())
                (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
        wanted = {"flip": "changed since it was written", "gone": "it left no state", "another version": "format 99"}
        with pytest.raises(StageFailed, match=f"cannot go on from the leg before: .*{wanted[harm]}") as failed:
            bench.run(second, work=harm)
        assert "w2s verify --quarantine" in failed.value.remedy
    finally:
        if state.exists():
            state.rename(tmp_path / "harmed")
        kept.rename(state)


def test_more_legs_than_steps_are_refused(whole: tuple[Bench, Train, dict[str, Any]]) -> None:
    bench = whole[0]
    (first,) = legs(bench.recipe, (0.5,), count=15)
    with pytest.raises(BadInput, match="a run of 14 steps cannot be cut in 15 legs"):
        bench.run(first)


def test_a_leg_is_evaluated_where_its_learner_never_is(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(schooled(strong__evaluate="never"))
    bench, (first, _) = Bench(recipe, tmp_path), legs(recipe, (0.1, 0.2), count=3)
    bench.prepare(first)
    metrics, ledger = bench.run(first)
    assert metrics["val_agreement"] is not None
    assert [step for name, _, step in ledger.scalars if name == "eval/misfit"] == [5]


# --- keys, and what is refused; nothing is trained ---


def test_whoever_decided_alike_so_far_shares_the_legs() -> None:
    recipe = Recipe.model_validate(schooled())
    one, two = legs(recipe, (0.1, 0.8, 0.4)), legs(recipe, (0.1, 0.8, 0.9))
    assert [a.key == b.key for a, b in zip(one, two, strict=True)] == [True, True, False]
    assert [stage.key for stage in legs(recipe, (0.1, 0.8), count=3)] == [stage.key for stage in one[:2]]
    assert legs(recipe, (0.1,), count=4)[0].key != one[0].key
    assert len({stage.key for stage in [*one, uncut(recipe)]}) == 4


def test_legs_come_from_one_another_and_say_which_they_are() -> None:
    recipe = Recipe.model_validate(schooled())
    made = legs(recipe)
    assert [stage.before for stage in made] == [None, *made[:2]]
    assert all(before in stage.inputs() for before, stage in pairwise(made))
    assert [stage.words.rpartition(", ")[2] for stage in made] == ["leg 1/3", "leg 2/3", "leg 3/3"]
    assert made[2].loss == uncut(recipe).loss
    assert "leg" not in uncut(recipe).science()


@pytest.mark.parametrize(
    "changes,where",
    [
        ({"strong__select": "best"}, "strong.select"),
        ({"strong__patience": 2}, "strong.patience"),
        ({"strong": {"model": "tiny:bert", "probe": {}}}, "strong.probe"),
        ({"strong__evaluate": "never", "split": {"val": 0}}, "split.val"),
    ],
)
def test_what_has_no_legs_is_refused(changes: dict[str, Any], where: str) -> None:
    data = toy_recipe(baselines=[], method={"kind": "confidence"}, **changes)
    with pytest.raises(BadInput) as refused:
        legs(Recipe.model_validate(data))
    assert refused.value.where == where
    assert refused.value.remedy


def test_a_leg_follows_the_one_before_it_and_no_other() -> None:
    recipe = Recipe.model_validate(schooled())
    world, (first, second, third) = recipe.world(0), legs(recipe)
    rest: dict[str, Any] = {"labels": third.labels, "loss": third.loss}
    assert world.train(world.strong, "strong", **rest, leg=Leg(2, 3), before=second).key == third.key
    wrong = [None, first, replace(second, seed=7), replace(second, leg=Leg(1, 4)), replace(second, labels=None)]
    for before in wrong:
        with pytest.raises(ValueError, match="does not go on from"):
            world.train(world.strong, "strong", **rest, leg=Leg(2, 3), before=before)
    with pytest.raises(ValueError, match="only a leg after the first"):
        world.train(world.strong, "strong", **rest, before=second)
    with pytest.raises(ValueError, match="there is no leg 3 of 3"):
        Leg(3, 3)
    for alphas, count in (((), 3), ((0.1,) * 4, 3)):
        with pytest.raises(ValueError, match="give 1 to 3"):
            legs(recipe, alphas, count)


# --- gangs ---


MACHINES = {"zero": 3, "micro_batch": 8}
GANG = [
    Case("uncut", MACHINES),
    Case("first", MACHINES, leg=(0, 3)),
    Case("broken", MACHINES, leg=(1, 3), after="first", stop_after=2, work="second"),
    Case("second", MACHINES, leg=(1, 3), after="first"),
    Case("third", MACHINES, leg=(2, 3), after="second"),
]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_in_a_gang_they_are_the_uncut_run_too(whole: tuple[Bench, Train, dict[str, Any]]) -> None:
    """Two ranks under ZeRO-3, the second leg broken after two of its steps."""
    bench, stage, _ = whole
    found = run(bench.root, schooled(), stage.key, GANG, ranks=2)
    assert "stopped at step 7 of 14" in str(found["broken"].errors[0])
    assert "resumed at step 7 of 14" in found["second"].notes
    assert "leg 3/3 goes on from step 10 of 14" in found["third"].notes
    assert weights(found["third"].out) == weights(found["uncut"].out)
    cut, unbroken = curve(found["third"].out), curve(found["uncut"].out)
    assert {step: cut[step] for step in unbroken} == unbroken
