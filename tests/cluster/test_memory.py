"""Memory in plain numbers: what each ZeRO stage shards; nothing is chosen that does not fit; what would is told."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from cluster.errors import BadEnvironment
from cluster.memory import TOKEN_CAP, Device, Load, Task, Wanted, choose, estimate, proposal, smaller
from cluster.sizes import Activations, Sizes, textbook
from cluster.zero import Zero

GB = 10**9
PLAIN, CHECKPOINTED, LAYER = textbook("bf16", 4096, 32)
BIG = Sizes(
    parameters=7 * GB,
    learning=7 * GB,
    computing=6 * GB + 800_000_000,
    reached=6 * GB + 800_000_000,
    learning_computing=6 * GB + 800_000_000,
    embedding=200_000_000,
    linear=6 * GB + 800_000_000,
    largest_parameter=200_000_000,
    largest_module=200_000_000,
    small=300_000,
    width=4096,
    depth=32,
    depth_reached=32,
    heads=32,
    vocabulary=50_000,
    outputs=2,
    precision="bf16",
    plain=PLAIN,
    checkpointed=CHECKPOINTED,
    layer=LAYER,
)
TASK = Task(BIG, batch=64, tokens=512, precision="bf16")


def load(stage: int | None, ranks: int = 8, **changes: object) -> Load:
    zero = None if stage is None else Zero(stage)  # type: ignore[arg-type]
    base = Load(zero, ranks, rows=1, tokens=512, precision="bf16", gpu=True)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_each_stage_shards_what_it_says() -> None:
    """4 bytes of weights, 4 of gradients, 8 of AdamW a parameter; a clone of the rank's weights at stages 1 and 2.

    Many rows make the forward pass the worst moment: there gradients are as they lie between micro-batches.
    """
    parts = {stage: estimate(BIG, load(stage, rows=16, accumulates=True)) for stage in (0, 1, 2, 3)}
    assert {memory.moment for memory in parts.values()} == {"forward"}
    p = BIG.parameters
    states = {s: (m.weights, m.master, m.optimizer, m.gradients) for s, m in parts.items()}
    assert states[0] == (4 * p, 0, 8 * p, 4 * p)
    assert states[1] == (4 * p, 4 * p // 8, 8 * p // 8, 4 * p)
    assert states[2] == (4 * p, 4 * p // 8, 8 * p // 8, 4 * p // 8)
    assert states[3] == (4 * p // 8, 0, 8 * p // 8, 4 * p // 8)
    assert parts[3].gathered > 0
    totals = [parts[s].total for s in (0, 1, 2, 3)]
    assert totals == sorted(totals, reverse=True)


def test_what_is_frozen_costs_its_weights_alone() -> None:
    frozen = dataclasses.replace(BIG, learning=BIG.learning // 10)
    memory = estimate(frozen, load(0))
    assert memory.weights == 4 * BIG.parameters
    assert memory.optimizer == 8 * frozen.learning


def test_offload_moves_states_to_the_host() -> None:
    on, off = estimate(BIG, load(3)), estimate(BIG, load(3, zero=Zero(3, "cpu")))
    assert off.optimizer == off.weights == 0
    assert off.total < on.total
    assert off.host >= 16 * BIG.parameters // 8
    here = estimate(BIG, load(3, zero=Zero(3, "cpu"), gpu=False))
    assert here.host == 0, "the host's memory is the device's there"
    assert here.counted > on.optimizer + on.weights


def test_more_ranks_and_checkpointing_never_cost_more() -> None:
    for stage in (1, 2, 3):
        totals = [estimate(BIG, load(stage, ranks)).total for ranks in (2, 4, 8, 64)]
        assert totals == sorted(totals, reverse=True)
        wide = load(stage, rows=16)
        assert estimate(BIG, dataclasses.replace(wide, checkpointing=True)).total < estimate(BIG, wide).total


def test_auto_takes_the_lowest_stage_and_the_largest_micro_batch_that_fit() -> None:
    """Held against every alternative, over many devices: the choice fits, nothing below it does, twice its rows do not."""
    chosen = set()
    for gigabytes, ranks in itertools.product((40, 60, 80, 100, 141, 300), (8, 32)):
        device = Device(gigabytes * GB, gpu=True)
        try:
            choice = choose(TASK, device, ranks, Wanted())
        except BadEnvironment:
            assert all(
                estimate(BIG, load(s, ranks, accumulates=TASK.batch // ranks > 1)).total > device.bytes
                for s in range(4)
            )
            continue
        chosen.add(choice.zero)
        share = TASK.batch // ranks
        assert choice.misses == 0
        assert choice.memory.total <= device.bytes
        assert share % choice.micro == 0
        assert choice.zero is not None
        for lower in range(choice.zero):
            assert estimate(BIG, load(lower, ranks, accumulates=share > 1)).total > device.bytes
        if 2 * choice.micro <= share:
            twice = load(choice.zero, ranks, rows=2 * choice.micro, accumulates=2 * choice.micro < share)
            assert estimate(BIG, twice).total > device.bytes
        assert choice == choose(TASK, device, ranks, Wanted()), "every rank decides alike"
    assert {2, 3} <= chosen


def test_no_more_tokens_in_memory_than_make_a_pass_faster() -> None:
    roomy = Device(10_000 * GB, gpu=True)
    assert choose(Task(BIG, 4096, 512, "bf16"), roomy, 1, Wanted("plain")).micro == TOKEN_CAP // 512
    assert 3 not in Wanted(compile=True).stages()
    assert choose(Task(BIG, 4096, 2 * TOKEN_CAP, "bf16"), roomy, 1, Wanted("plain")).micro == 1
    assert choose(Task(BIG, 12, 512, "bf16"), roomy, 1, Wanted("plain")).micro == 12, "a share that fits is not cut"


def test_nothing_fits_says_by_how_much_and_what_would() -> None:
    with pytest.raises(BadEnvironment) as told:
        choose(TASK, Device(18 * GB, gpu=True), 8, Wanted(), "machines.strong")
    assert told.value.where == "machines.strong"
    assert "too much" in told.value.what
    assert "18.0 GB" in told.value.what
    assert "ZeRO-3 with micro_batch 1" in told.value.what
    assert "gradient_checkpointing: true" in told.value.remedy


def test_a_forced_choice_comes_back_with_what_it_misses() -> None:
    forced = choose(TASK, Device(60 * GB, gpu=True), 8, Wanted(zero=1, micro=8))
    assert (forced.zero, forced.micro) == (1, 8)
    assert forced.misses == forced.memory.total - 60 * GB > 0
    half_forced = Wanted(zero=0)
    with pytest.raises(BadEnvironment):
        choose(TASK, Device(60 * GB, gpu=True), 8, half_forced)


def test_what_is_proposed_fits() -> None:
    device = Device(60 * GB, gpu=True)
    assert proposal(TASK, device, 8, Wanted(zero=0, micro=8)).startswith("set micro_batch: auto, zero: auto (ZeRO-2")
    changed = Wanted(zero="auto", micro=None)
    assert not choose(TASK, device, 8, changed).misses


def test_after_running_out_the_next_step_down_is_named() -> None:
    assert smaller(8, 0, 4) == "set micro_batch: 4 (it was 8)"
    assert smaller(1, 1, 4) == "set zero: 2 (it was 1)"
    assert smaller(1, 3, 4) == "set gradient_checkpointing: true"
    assert "offload: cpu" in smaller(1, None, 1, checkpointing=True)


def test_flops_of_a_model_that_learns_whole_are_those_of_palm() -> None:
    attention = 12 * BIG.depth * BIG.width * 512
    assert BIG.train_flops(512) == pytest.approx(6 * BIG.computing + attention)
    assert BIG.forward_flops(512) == pytest.approx(BIG.train_flops(512) / 3)


def test_sizes_survive_json() -> None:
    assert Sizes.from_json(BIG.to_json()) == BIG
    assert Activations(1.0, 2.0, 3.0).bytes(2, 10) == 1 + 2 * 10 * (2 + 30)
