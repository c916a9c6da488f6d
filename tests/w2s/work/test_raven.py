"""RAVEN through the stages: its weights do not know how a batch was cut, where training broke off, or how many ranks there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import Interrupted
from cluster.job import Context
from tests.conftest import toy_recipe
from tests.invariant.comparison import EACH, WHOLE, bitwise, distance, student, weights
from tests.invariant.comparison import recipe as sentences_recipe
from tests.w2s.work.gang import Case, run, stop_after
from tests.w2s.work.run_stage import Bench, Ledger
from w2s import bridge
from w2s.recipe import Recipe
from w2s.stages import Probe
from w2s.work.probe import run_pack

METHOD = {"kind": "raven", "loss": {"easy": 0.3, "freeze": 0.2, "weight_lr": 0.3}}
NEAR = 1e-6  # of a weight: logits in float32 differ by their last bits where batches are cut otherwise


def path(out: Path) -> list[list[float]]:
    return [point["weight"] for point in json.loads((out / "course.json").read_text())]


def near(one: Path, other: Path) -> bool:
    return all(a == pytest.approx(b, abs=NEAR) for a, b in zip(path(one), path(other), strict=True))


def toy(**changes: Any) -> Recipe:
    return Recipe.model_validate(toy_recipe(method=METHOD, baselines=[], strong__epochs=4, **changes))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    found = Bench(toy(), tmp_path_factory.mktemp("raven"))
    found.prepare(student(found.recipe))
    return found


def copied(bench: Bench, name: str) -> Path:
    """The student's result, moved where the next run leaves it alone."""
    return bench.out(student(bench.recipe)).rename(bench.root / name)


@pytest.fixture(scope="module")
def whole(bench: Bench) -> Path:
    metrics, ledger = bench.run(student(bench.recipe), machines={"micro_batch": 8})
    out = copied(bench, "whole")
    assert metrics["last_weight"] == path(out)[-1]
    told = {name for name, _, _ in ledger.scalars if name.startswith("train/weight")}
    assert told == {"train/weight_0", "train/weight_1", "train/weight_2"}
    first, last = path(out)[0], path(out)[-1]
    assert first == [1 / 3] * 3
    assert max(abs(a - b) for a, b in zip(first, last, strict=True)) > 100 * NEAR, "or there is nothing to compare"
    return out


@pytest.mark.parametrize("micro", [1, 4])
def test_the_cut_of_a_batch_does_not_move_the_weights(bench: Bench, whole: Path, micro: int) -> None:
    bench.run(student(bench.recipe), machines={"micro_batch": micro}, work=f"micro{micro}")
    assert near(copied(bench, f"micro{micro}"), whole)


def test_broken_and_resumed_is_unbroken_to_the_bit(bench: Bench, whole: Path) -> None:
    stage, machines = student(bench.recipe), {"micro_batch": 8}
    with pytest.raises(Interrupted):
        bench.run(stage, machines=machines, stop=stop_after(17), work="broken")
    _, ledger = bench.run(stage, machines=machines, work="broken")
    assert any(note.startswith("resumed at step 17") for note in ledger.notes)
    out = copied(bench, "resumed")
    assert path(out) == path(whole)
    assert bitwise(weights(out), weights(whole))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_ranks_learn_the_weights_that_one_device_learns(tmp_path: Path) -> None:
    told = sentences_recipe(tmp_path, "raven") | {"method": METHOD}
    made = Recipe.model_validate(told)
    own, stage = Bench(made, tmp_path), student(made)
    own.prepare(stage)
    own.run(stage)
    cases = [
        *(Case(f"zero{zero}", {"zero": zero, "micro_batch": 4}) for zero in (2, 3)),
        Case("break", {"zero": 2, "micro_batch": 4}, stop_after=5, work="broken"),
        Case("mend", {"zero": 2, "micro_batch": 4}, work="broken"),
    ]
    found = run(tmp_path, told, stage.key, cases, ranks=2)
    for zero in (2, 3):
        out = found[f"zero{zero}"].out
        assert near(out, own.out(stage)), zero
        apart, each = distance(weights(out), weights(own.out(stage)))
        assert apart < WHOLE
        assert each < EACH
    assert path(found["mend"].out) == path(found["zero2"].out)
    assert bitwise(weights(found["mend"].out), weights(found["zero2"].out))


def test_heads_are_the_same_alone_and_in_company(tmp_path: Path) -> None:
    """Weights to the bit, for heads whose losses differ in their numbers, and in what their weights are."""
    probe = {"probe": {"l2": 0.01, "steps": 60}, "max_tokens": 32, "evaluate": "never"}
    methods = [
        {"kind": "raven", "loss": {"weight_lr": lr, "simplex": simplex}}
        for lr in (0.05, 0.3)
        for simplex in ("clip", "softmax")
    ]
    tiny = {"source": "tiny:bert", "width": 16, "depth": 1}
    made = Recipe.model_validate(
        toy_recipe(weak={"model": tiny, **probe}, strong={"model": {**tiny, "width": 32}, **probe}, method=methods[0],
                   baselines=[*methods[1:], "bayesian", "naive"])
    )  # fmt: skip
    heads = [
        one
        for one in made.graph().values()
        if isinstance(one, Probe) and one.labels is not None and one.rows.name == "strong"
    ]
    assert len(heads) == 6
    bench = Bench(made, tmp_path)
    bench.prepare(*heads)
    alone = {}
    for head in heads:
        bench.run(head)
        alone[head.key] = {file.name: file.read_bytes() for file in bench.out(head).iterdir()}
    contexts = []
    for head in heads:
        job = bridge.job(made, head)
        out = tmp_path / "pack" / head.key
        out.mkdir(parents=True)
        contexts.append(
            Context(key=job.key, name=job.name, science=job.science, machines=job.machines,
                    inputs={key: bench.root / key / "out" for key in job.needs}, out=out, work=out, watch=Ledger(), device="cpu")
        )  # fmt: skip
    run_pack(contexts)
    for context in contexts:
        assert {file.name: file.read_bytes() for file in context.out.iterdir()} == alone[context.key]
    assert sum("course.json" in files for files in alone.values()) == 4
