"""Which rows take the strong model's own labels: the threshold against a plain loop, every way to gate, and whose truth is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.w2s.work.planted import House, gate_of, knows_of, lying, recipe, write
from w2s.labels import LabelTable
from w2s.work.gate import DEFAULT_TAU, FEWEST, FILE, above, as_many, choose_tau, merged, passed


def by_loop(knows: np.ndarray, own: np.ndarray, weak: np.ndarray, rule: str = "smallest") -> float | None:
    fits = {}
    for tau in sorted(set(knows.tolist())):
        apart = own[knows >= tau].astype(float) - weak[knows >= tau]
        if len(apart) >= FEWEST and apart.mean() - apart.std(ddof=1) / np.sqrt(len(apart)) > 1e-12:  # equal: not above
            fits[tau] = np.where(knows >= tau, own, weak).sum()
    return None if not fits else min(fits) if rule == "smallest" else max(fits, key=lambda tau: (fits[tau], tau))


@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_the_threshold_is_what_a_loop_finds(rows: list[tuple[int, bool, bool]], chance: Any) -> None:
    """With many ties, and in whatever order the rows come."""
    chance.shuffle(rows)
    knows, own, weak = (np.array(column) for column in zip(*rows, strict=True))
    for rule in ("smallest", "most"):
        assert choose_tau(knows / 12, own, weak, rule) == by_loop(knows / 12, own, weak, rule)


def test_a_model_that_knows_no_more_gets_no_threshold() -> None:
    knows, weak = np.linspace(0, 1, 100), np.arange(100) % 4 > 0
    assert choose_tau(knows, weak, weak) is None
    assert choose_tau(knows, ~weak, weak) is None
    assert choose_tau(knows, np.ones(100, dtype=bool), weak) == 0.0
    assert choose_tau(knows, weak | (knows > 0.5), weak & (knows < 0.9)) is not None


def tables(count: int = 40) -> tuple[LabelTable, LabelTable]:
    generator = np.random.default_rng(0)
    ids = [f"r{i}" for i in range(count)]
    weak, own = (LabelTable.of_probs(ids, generator.dirichlet(np.ones(3), size=count)) for _ in range(2))
    return weak, own


@pytest.mark.parametrize("hard", [True, False])
def test_rows_that_do_not_pass_keep_their_labels_to_the_bit(hard: bool) -> None:
    weak, own = tables()
    gone = np.arange(40) % 3 == 0
    found = merged(weak, own, gone, hard=hard)
    np.testing.assert_array_equal(found.probs_NC[~gone], weak.probs_NC[~gone])
    np.testing.assert_array_equal(found.logits_NC[~gone], weak.logits_NC[~gone])
    expected = np.eye(3)[own.probs_NC.argmax(axis=1)] if hard else own.probs_NC
    np.testing.assert_array_equal(found.probs_NC[gone], expected[gone])


def test_as_many_rows_whatever_their_order() -> None:
    _, own = tables()
    surest = as_many(7, "confidence", own.probs_NC, own.ids, 0)
    assert own.probs_NC.max(axis=1)[surest].min() >= own.probs_NC.max(axis=1)[~surest].max()
    drawn = as_many(7, "random", own.probs_NC, own.ids, 0)
    turned = as_many(7, "random", own.probs_NC[::-1], own.ids[::-1], 0)
    assert drawn.sum() == surest.sum() == 7
    assert set(np.array(own.ids)[drawn]) == set(np.array(own.ids[::-1])[turned])
    assert (as_many(7, "random", own.probs_NC, own.ids, 1) != drawn).any()


def test_nothing_is_above_no_threshold() -> None:
    assert not above(np.ones(3), None).any()
    assert above(np.array([0.2, 0.7, 0.9]), 0.7).tolist() == [False, True, True]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    root = tmp_path_factory.mktemp("gate")
    return House(recipe(write(root)), root)


def right(house: House, labels: Any) -> np.ndarray:
    rows = house.rows("strong")
    found: np.ndarray = house.labels(labels).join(rows.ids, "here").probs_NC.argmax(axis=1) == np.array(rows.labels)
    return found


def test_the_threshold_of_the_stage_is_that_of_held_out_rows(house: House) -> None:
    gate = gate_of(house.targets(smooth=0))
    told, rows = house.told(gate), house.rows("val")
    assert gate.val_labels is not None
    assert gate.val_selves is not None
    own, weak = (
        house.labels(labels).join(rows.ids, "here").probs_NC.argmax(axis=1) == np.array(rows.labels)
        for labels in (gate.val_selves, gate.val_labels)
    )
    known = house.labels(knows_of(gate)).join(rows.ids, "here").probs_NC[:, 1]
    assert told["tau"] == by_loop(known, own, weak)
    assert told["tau_by"] == "held-out rows"
    assert told["val_own_passed"] == own[known >= told["tau"]].mean() > told["val_weak_passed"]
    strong = house.labels(knows_of(gate)).join(house.rows("strong").ids, "here").probs_NC[:, 1]
    gone = passed(house.made(gate), house.rows("strong").ids, "here")
    np.testing.assert_array_equal(gone, strong >= told["tau"])


def test_where_it_knows_the_labels_are_better_than_either_source(house: House) -> None:
    """The planted region: own labels are nearly all right there, weak ones three times in four everywhere."""
    told = house.told(gate_of(house.targets(smooth=0)))
    assert told["own_passed"] > told["own"] + 0.05
    assert told["own_stopped"] < told["weak_stopped"] - 0.2
    assert told["accuracy"] > max(told["own"], told["weak"]) + 0.05
    assert told["gain"] > told["gain_random"] + 0.05
    assert abs(told["easier"]) < 0.1, "weak labels are planted to be as good everywhere"


def test_the_rule_of_most_right_targets_stops_what_the_smallest_threshold_lets_by(house: House) -> None:
    """Outside the planted region own labels are worse than weak ones; the smallest threshold takes some of them along."""
    smallest, most = (house.told(gate_of(house.targets(smooth=0, rule=rule))) for rule in ("smallest", "most"))
    assert smallest["tau"] < most["tau"]
    assert most["own_passed"] > 0.9 > smallest["own_passed"]
    assert most["gain"] > smallest["gain"]


def test_the_receipt_adds_up(house: House) -> None:
    gate = gate_of(house.targets(smooth=0))
    told, own, weak = house.told(gate), right(house, gate.selves), right(house, gate.labels)
    gone = passed(house.made(gate), house.rows("strong").ids, "here")
    assert (told["n"], told["passed"], told["share"]) == (len(gone), gone.sum(), gone.mean())
    assert (told["own"], told["weak"]) == (own.mean(), weak.mean())
    assert (told["own_passed"], told["weak_passed"]) == (own[gone].mean(), weak[gone].mean())
    assert (told["own_stopped"], told["weak_stopped"]) == (own[~gone].mean(), weak[~gone].mean())
    assert told["accuracy"] == right(house, gate).mean()
    assert told["gain"] == told["accuracy"] - told["weak"]
    ids = house.rows("strong").ids
    drawn = [as_many(int(gone.sum()), "random", np.ones((len(gone), 2)), ids, seed) for seed in range(300)]
    expected = np.mean([np.where(one, own, weak).mean() for one in drawn]) - weak.mean()
    assert told["gain_random"] == pytest.approx(expected, abs=0.004)
    assert told["easier"] == weak[gone].mean() - weak.mean()


def test_controls_take_as_many(house: House) -> None:
    shares = {
        how: house.told(gate_of(house.targets(smooth=0, gate=how)))["passed"]
        for how in ("knows", "random", "confidence")
    }
    assert len(set(shares.values())) == 1
    gates = [house.made(gate_of(house.targets(smooth=0, gate=how))) for how in shares]
    ids = house.rows("strong").ids
    assert len({passed(folder, ids, "here").tobytes() for folder in gates}) == 3, "but not the same"


def test_an_oracle_is_at_least_as_good_as_either_source(house: House) -> None:
    gate = gate_of(house.targets(smooth=0, gate="oracle"))
    told = house.told(gate)
    assert told["accuracy"] >= max(told["own"], told["weak"])
    assert told["accuracy"] == (right(house, gate.selves) | right(house, gate.labels)).mean()
    assert gate.oracle
    assert not gate_of(house.targets(smooth=0)).oracle


def test_everything_passes_where_all_do(house: House) -> None:
    gate = gate_of(house.targets(smooth=0, gate="all", targets="soft"))
    ids = house.rows("strong").ids
    np.testing.assert_array_equal(
        house.labels(gate).join(ids, "here").probs_NC, house.labels(gate.selves).join(ids, "here").probs_NC
    )


def naive(house: House, gate: Any) -> None:
    """Its labels are the supervisor's, in every column to the bit."""
    ids = house.rows("strong").ids
    found, weak = house.labels(gate).join(ids, "here"), house.labels(gate.labels).join(ids, "here")
    np.testing.assert_array_equal(found.probs_NC, weak.probs_NC)
    np.testing.assert_array_equal(found.logits_NC, weak.logits_NC)
    assert found.weights_N is None
    assert house.told(gate)["passed"] == 0


def test_a_tau_above_1_reproduces_naive(house: House) -> None:
    """And so does the student, whose weights are the same to the bit."""
    outcome, plain = house.plan(tau=1.01, smooth=0), house.plan("naive")
    naive(house, gate_of(outcome.transfer.labels.model.labels))  # type: ignore[union-attr]
    heads = [house.made(one.transfer.labels.model) / "head.safetensors" for one in (outcome, plain)]  # type: ignore[union-attr]
    assert heads[0].read_bytes() == heads[1].read_bytes()
    assert outcome.transfer.key != plain.transfer.key  # type: ignore[union-attr]


def test_where_no_threshold_will_do_it_falls_back_to_naive(tmp_path: Path) -> None:
    """Weak labels that are the truth: nothing beats them."""
    with np.load(write(tmp_path)) as columns:
        np.savez(tmp_path / "sure.npz", x=columns["x"], label=columns["label"], weak=columns["label"].astype(float))
    there = House(recipe(tmp_path / "sure.npz"), tmp_path)
    gate = gate_of(there.targets(smooth=0))
    naive(there, gate)
    told = there.told(gate)
    assert (told["tau"], told["tau_by"], told["val_passed"]) == (None, "none passes", 0)
    assert (told["own_passed"], told["easier"], told["gain"], told["gain_random"]) == (None, None, 0.0, 0.0)


def test_too_few_held_out_rows_choose_nothing(house: House) -> None:
    told = house.told(gate_of(house.targets(smooth=0, least=100_000)))
    assert (told["tau"], told["tau_by"], told["val_n"]) == (DEFAULT_TAU, "default", len(house.rows("val")))
    assert house.told(gate_of(house.targets(smooth=0, tau=0.8)))["tau"] == 0.8


def test_what_passed_stands_firm_where_it_is_clamped(house: House) -> None:
    stage = house.targets(clamp=True)
    gate, ids = gate_of(stage), house.rows("strong").ids
    gone = passed(house.made(gate), ids, "here")
    clamped, own = (house.labels(labels).join(ids, "here").probs_NC for labels in (stage, gate))
    np.testing.assert_array_equal(clamped[gone], own[gone])
    assert (clamped[~gone] != own[~gone]).any()


def test_held_out_rows_are_gated_by_the_same_rule(house: House) -> None:
    stage = house.targets(smooth=0).on(house.world.part("val"))
    gone = passed(house.made(stage), house.rows("val").ids, "here")
    assert house.told(stage)["tau"] == house.told(gate_of(house.targets(smooth=0)))["tau"]
    assert gone.any()
    assert not gone.all()


CHOICES: list[dict[str, Any]] = [
    {}, {"smooth": 0}, {"clamp": True}, {"gate": "all"}, {"gate": "random"}, {"gate": "confidence"}, {"gate": "oracle"}
]  # fmt: skip


def test_no_truth_of_the_strong_half_or_the_test_rows_comes_in(house: House, tmp_path: Path) -> None:
    """The truth of those rows turned round, everything made anew: targets are the same to the bit, but an oracle's."""
    liar = lying(house, tmp_path)
    for choices in CHOICES:
        targets = house.targets(**choices)
        before, after = (there.labels(targets).join(house.rows("strong").ids, "here") for there in (house, liar))
        same = (before.probs_NC == after.probs_NC).all()
        assert same == (choices.get("gate") != "oracle"), choices
        assert (house.made(gate_of(targets)) / FILE).is_file()
