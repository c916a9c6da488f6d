"""What trains a model must not change it: one device, two ranks, any ZeRO stage, any micro-batch, broken or unbroken.

Real processes over gloo, real DeepSpeed, real sentences (from Python's own manual), fp32; comparison.py says what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from cluster.errors import Interrupted
from tests.invariant.comparison import EACH, WHOLE, bitwise, distance, recipe, sentences, student, weights
from tests.w2s.work.gang import Case, Result, run, stop_after
from tests.w2s.work.run_stage import Bench
from w2s.recipe import Recipe
from w2s.stages import Train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GOES_ON = "goes-on"


CUTS = [
    *(Case(f"zero{zero}-{micro}", {"zero": zero, "micro_batch": micro}) for zero in (0, 1, 2, 3) for micro in (8, 4)),
    Case("zero2-1", {"zero": 2, "micro_batch": 1}),
    Case("zero3-1", {"zero": 3, "micro_batch": 1}),
    Case("zero3-checkpointing", {"zero": 3, "micro_batch": 8, "gradient_checkpointing": True}),
    Case("zero2-offload", {"zero": 2, "micro_batch": 8, "offload": "cpu"}),
    Case("zero3-offload", {"zero": 3, "micro_batch": 8, "offload": "cpu"}),
]
BROKEN = [
    case
    for zero in (0, 1, 2, 3)
    for case in (
        Case(f"break{zero}", {"zero": zero, "micro_batch": 8}, stop_after=5, work=f"broken{zero}"),
        Case(f"mend{zero}", {"zero": zero, "micro_batch": 8}, work=f"broken{zero}"),
    )
]
TRAVELS = [  # one run, handed from stage to stage
    Case("travels-a", {"zero": 3}, stop_after=2, work=GOES_ON),
    Case("travels-b", {"zero": 1, "offload": "cpu"}, stop_after=2, work=GOES_ON),
    Case("travels-c", {"zero": 0}, stop_after=2, work=GOES_ON),
    Case("travels-d", {"zero": 2}, stop_after=2, work=GOES_ON),
]


@dataclass(frozen=True)
class Trained:
    """One device's weights, and what gangs made of the same stage."""

    bench: Bench
    stage: Train
    recipe: dict[str, Any]
    alone: dict[str, Tensor]
    gangs: dict[str, Result]


def trained(
    folder: Path, method: str, cases: list[Case], others: dict[str, list[Case]] | None = None, **changes: Any
) -> dict[str, Trained]:
    """By method. All cases share one start of a gang, as imports take longer than most of them."""
    chosen = {method: cases, **(others or {})}
    told = {name: recipe(folder, name, **changes) for name in chosen}
    alone: dict[str, tuple[Bench, Train]] = {}
    for name, each in told.items():
        made = Recipe.model_validate(each)
        bench, stage = alone[name] = Bench(made, folder), student(made)
        bench.prepare(stage)
        bench.run(stage)
    renamed = [
        replace(case, name=f"{name}-{case.name}", recipe=case.recipe or told[name])
        for name, some in chosen.items()
        for case in some
    ]
    found = run(folder, told[method], alone[method][1].key, renamed, ranks=2)
    return {
        name: Trained(
            *alone[name], told[name], weights(alone[name][0].out(alone[name][1])),
            {case.name: found[f"{name}-{case.name}"] for case in some},
        )
        for name, some in chosen.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def by_method(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("gangs")
    return trained(folder, "confidence", [*CUTS, *BROKEN, *TRAVELS], {"naive": CUTS[1::2]})


@pytest.fixture(scope="module")
def confidence(by_method: dict[str, Trained]) -> Trained:
    return by_method["confidence"]


def test_sentences_are_many_and_of_both_kinds() -> None:
    labels = [row["label"] for row in sentences()]
    assert (len(labels), sum(labels)) == (240, 120)


@pytest.mark.parametrize("method", ["naive", "confidence"])
def test_no_gang_changes_the_result(method: str, by_method: dict[str, Trained]) -> None:
    found = by_method[method]
    assert _untrained_distance(found) > 100 * WHOLE, "training moves weights by far more than the tolerance"
    told = {}
    for case in CUTS:
        if case.name in found.gangs:
            assert found.gangs[case.name].errors == [None, None]
            told[case.name] = distance(weights(found.gangs[case.name].out), found.alone)
    assert len(told) >= 6
    assert max(whole for whole, _ in told.values()) < WHOLE, told
    assert max(each for _, each in told.values()) < EACH, told


def test_where_the_arithmetic_is_the_same_so_are_the_bits(confidence: Trained) -> None:
    """ZeRO 0, 1 and 2 add the same gradients in the same order at two ranks; offloading and checkpointing change none."""
    first = weights(confidence.gangs["zero0-8"].out)
    for name in ("zero1-8", "zero2-8", "zero2-offload"):
        assert bitwise(weights(confidence.gangs[name].out), first), name
    third = weights(confidence.gangs["zero3-8"].out)
    for name in ("zero3-offload", "zero3-checkpointing"):
        assert bitwise(weights(confidence.gangs[name].out), third), name


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_broken_and_mended_is_unbroken_to_the_bit(confidence: Trained, zero: int) -> None:
    errors = confidence.gangs[f"break{zero}"].errors
    assert [error["error"] for error in errors if error] == ["Interrupted", "Interrupted"], "every rank left together"
    mended = confidence.gangs[f"mend{zero}"]
    assert any(note.startswith("resumed at step 5") for note in mended.notes)
    assert bitwise(weights(mended.out), weights(confidence.gangs[f"zero{zero}-8"].out))


WIDE = {"zero": 3, "micro_batch": 4}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model whose matrices are too large for ZeRO-3 to keep whole; evaluated often, its best weights kept."""
    folder = tmp_path_factory.mktemp("wide")
    model = {"source": "tiny:bert", "width": 384, "depth": 1}
    changes: dict[str, Any] = {"strong__model": model, "strong__evaluate": 3, "strong__select": "best"}
    lora = recipe(folder, "naive", **changes, strong__lora={"rank": 4})
    head = recipe(folder, "naive", **changes, strong__trainable_layers=0)
    cases = [
        Case("whole", WIDE),
        Case("break", WIDE, stop_after=5, work="wide"),
        Case("mend", WIDE, work="wide"),
        Case("lora", {"zero": 0}, recipe=lora),
        Case("lora-cut", {**WIDE, "gradient_checkpointing": True}, recipe=lora),
        Case("head", {"zero": 2}, recipe=head),
    ]
    return trained(folder, "naive", cases, **changes)["naive"]


def test_weights_that_are_fetched_ahead_are_read_whole(wide: Trained) -> None:
    """An evaluation leaves ZeRO-3 fetching what a backward pass would need next; then weights are copied, set, exported."""
    assert wide.gangs["whole"].errors == wide.gangs["mend"].errors == [None, None]
    assert distance(weights(wide.gangs["whole"].out), wide.alone) < (WHOLE, EACH)
    assert bitwise(weights(wide.gangs["mend"].out), weights(wide.gangs["whole"].out))


def test_frozen_weights_are_recomputed_from_shards(wide: Trained) -> None:
    """LoRA with gradient checkpointing under ZeRO-3: most weights are frozen, cut up, and needed twice a step."""
    assert wide.gangs["lora-cut"].errors == [None, None]
    assert distance(weights(wide.gangs["lora-cut"].out), weights(wide.gangs["lora"].out)) < (WHOLE, EACH)


def test_a_rank_that_owns_no_parameter_takes_part_in_selection(wide: Trained) -> None:
    """Two ranks, one learning parameter, the best weights kept: both go through the same collectives at the end."""
    assert wide.gangs["head"].errors == [None, None]
    assert wide.gangs["head"].metrics["select"] == "best"


def test_a_run_travels_between_stages_and_world_sizes(confidence: Trained) -> None:
    """Two ranks under ZeRO-3, 1, 0 and 2 in turn; then one device; then a gang of one. Each reads what the last one wrote."""
    notes = [note for name in "abcd" for note in confidence.gangs[f"travels-{name}"].notes]
    assert "reading a checkpoint of 2 ranks under ZeRO-3 into 2 ranks under ZeRO-1" in notes
    work = confidence.gangs["travels-a"].out.parent.parent / GOES_ON / "work"
    bench, stage = confidence.bench, confidence.stage
    (bench.root / stage.key / GOES_ON).symlink_to(work)
    with pytest.raises(Interrupted, match="stopped at step 10 of 12"):
        bench.run(stage, work=GOES_ON, stop=stop_after(2))
    last = [Case("one", {"zero": 2}, work=str(work.parent))]
    alone = run(bench.root, confidence.recipe, stage.key, last, ranks=1)["one"]
    assert "reading a checkpoint of 1 device into 1 rank under ZeRO-2" in alone.notes
    assert any(note.startswith("resumed at step 10") for note in alone.notes)
    whole, each = distance(weights(alone.out), confidence.alone)
    assert whole < WHOLE
    assert each < EACH


def _untrained_distance(found: Trained) -> float:
    """How far training moves the weights at all."""
    from w2s.work.model import load

    model, _ = load(found.stage.learner, 2, found.stage.seed)
    fresh = {name.removeprefix("body.").removeprefix("head."): tensor for name, tensor in model.state_dict().items()}
    shared = {name for name in found.alone if name in fresh}
    return distance({n: found.alone[n] for n in shared}, {n: fresh[n] for n in shared})[0]
