"""Trials: which ones a search has, what they are called, and the recipes they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from tests.w2s.command import write_recipe
from w2s.load import load
from w2s.search.searched import Searched, load_searched
from w2s.search.trials import Trial, corner_trials, grid_trials, random_trials, students, trial_recipe

ALPHA: dict[str, Any] = {"method.alpha": {"uniform": [0, 0.9]}, "method.warmup": {"choice": [0, 0.2, 0.5]}}
LADDERS: dict[str, Any] = {
    "method.chain": [
        ["strong"],
        ["weak", "strong"],
        ["weak", {"model": {"source": "tiny:bert", "width": 16}}, "strong"],
    ],
    "method.chain.*.epochs": {"uniform": [1, 4], "step": 1},
    "method.chain.1.lr": {"loguniform": [1e-4, 1e-2]},
}
BOOTSTRAP = {"method": {"kind": "bootstrap", "members": 2}, "baselines": ["naive"]}


def searched(folder: Path, space: dict[str, Any], *overrides: str, **changes: Any) -> Searched:
    search = {"space": space, **changes.pop("search", {})}
    return load_searched(str(write_recipe(folder, search=search, **changes)), overrides)


# ---- a trial


def test_equal_values_are_one_trial() -> None:
    one, other = Trial({"a": 0.1, "b": [1]}), Trial({"b": [1], "a": 0.1})
    assert one.key == other.key
    assert hash(one) == hash(other)
    assert len(one.key) == 64
    assert Trial({"a": 0.2, "b": [1]}).key != one.key


@pytest.mark.parametrize(
    "overrides,label",
    [
        (
            {"method.chain": [{"model": {"source": "pip:some-model==1.0/m", "sha256": "0" * 64, "layers": 2}}, "strong"]},
            "chain=some-model-L2>strong",
        ),
        ({"method.alpha": 0.314159, "method.warmup": 0.1}, "alpha=0.314 warmup=0.1"),
        ({"strong.optim.lr": 1e-05, "weak.optim.lr": 0.01}, "strong.optim.lr=1e-05 weak.optim.lr=0.01"),
        ({"method.chain.0.epochs": 1.0, "method.chain.1.epochs": 2.0}, "chain.0.epochs=1 chain.1.epochs=2"),
        ({"method.chain.1.epochs": 2}, "epochs=2"),
        ({"method.chain": ["weak", {"model": "gpt2", "lr": 5e-5}, "strong"]}, "chain=weak>gpt2(lr=5e-05)>strong"),
        ({"method": {"kind": "naive", "members": 3}, "strong.bucket": False}, "method=naive(members=3) bucket=false"),
        ({"strong.model": "pip:some-model==1.0/folder/model"}, "model=some-model"),
        ({"method.alpha": [0.1, 0.25]}, "alpha=0.1>0.25"),
        ({"weak.epochs": 1234567, "strong.probe": None}, "epochs=1234567 probe=null"),
    ],
)  # fmt: skip
def test_labels(overrides: dict[str, Any], label: str) -> None:
    assert Trial(overrides).label == label


@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c", "0", "1"]), min_size=1, max_size=4).map(".".join),
        st.integers(),
        min_size=1,
        max_size=6,
    )
)
def test_short_names_are_different_ends(overrides: dict[str, int]) -> None:
    short = Trial(overrides).short_names
    assert len(set(short.values())) == len(overrides)
    assert all(path == name or path.endswith("." + name) for path, name in short.items())


# ---- its recipe


def test_a_trial_is_the_recipe_with_its_values(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA, search={"seeds": [3, 4]})
    trial = Trial({"method.alpha": 0.7, "method.warmup": 0.5})
    recipe = trial_recipe(found, trial)
    by_hand = load(
        str(write_recipe(tmp_path, "hand.yaml", baselines=[], seeds=[3, 4], method__alpha=0.7, method__warmup=0.5))
    )
    assert recipe.model_copy(update={"name": "hand"}) == by_hand
    assert recipe.name == f"toy-{trial.key[:8]}"
    assert recipe.search is None
    assert [stage.key for stage in recipe.goals()] == [stage.key for stage in by_hand.goals()]


def test_a_search_is_no_part_of_any_stage(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA)
    plain = load(str(write_recipe(tmp_path, "plain.yaml", name="toy")))
    assert found.recipe.fingerprint == plain.fingerprint
    assert list(found.recipe.graph()) == list(plain.graph())


def test_command_line_overrides_are_kept(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA, "strong.epochs=3", "search.trials=5", "search.space.method.warmup=[0.1]")
    assert found.search.trials == 5
    assert {trial_recipe(found, trial).strong.epochs for trial in random_trials(found, 0, 3)} == {3}
    assert {trial.overrides["method.warmup"] for trial in random_trials(found, 0, 3)} == {0.1}
    assert searched(tmp_path, ALPHA, "search.space.method.alpha.step=0.3").search.space["method.alpha"].every() == (
        0,
        0.3,
        0.6,
        0.9,
    )


def test_trials_share_every_stage_their_values_do_not_touch(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA)
    graphs = [set(trial_recipe(found, trial).graph()) for trial in random_trials(found, 0, 4)]
    shared = set.intersection(*graphs)
    assert all(len(graph - shared) == 3 for graph in graphs), "the student, its test labels, its grade"


def test_a_schedule_of_alpha_is_a_trial_too(tmp_path: Path) -> None:
    """What population-based training finds: alpha as a list, replayed as any other trial."""
    recipe = trial_recipe(searched(tmp_path, ALPHA), Trial({"method.alpha": [0.1, 0.3], "method.warmup": 0.2}))
    assert recipe.method.alpha == (0.1, 0.3)  # type: ignore[attr-defined]


def test_a_long_name_has_room_for_the_trials_own(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA, name="n" * 64)
    assert len(trial_recipe(found, random_trials(found, 0, 1)[0]).name) == 64


def test_bootstrapping_schedules(tmp_path: Path) -> None:
    """Chains of three lengths, epochs for every rung, a rate for the second where there is one."""
    found = searched(tmp_path, LADDERS, search={"trials": 40}, **BOOTSTRAP)
    trials = random_trials(found, 0, 40)
    lengths = set()
    for trial in trials:
        chain = trial_recipe(found, trial).method.chain  # type: ignore[attr-defined]
        lengths.add(len(chain))
        assert [rung.epochs for rung in chain] == [
            trial.overrides[f"method.chain.{i}.epochs"] for i in range(len(chain))
        ]
        assert [rung.lr for rung in chain[1:2]] == ([trial.overrides["method.chain.1.lr"]] if len(chain) > 1 else [])
        assert len(trial.overrides) == 1 + len(chain) + (len(chain) > 1)
        assert [rung.learner for rung in chain] == {1: ["strong"], 2: ["weak", "strong"], 3: ["weak", None, "strong"]}[
            len(chain)
        ]
    assert lengths == {1, 2, 3}


def test_students(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA, search={"seeds": 3})
    (trial,) = random_trials(found, 0, 1)
    recipe = trial_recipe(found, trial)
    alphas = {seed: student.loss.alpha for seed, student in students(recipe).items()}  # type: ignore[attr-defined]
    assert alphas == dict.fromkeys(range(3), trial.overrides["method.alpha"])
    assert students(load(str(write_recipe(tmp_path, method="floor", baselines=[])))) == {}


def test_a_fault_names_path_value_and_line(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA)
    with pytest.raises(BadInput) as caught:
        trial_recipe(found, Trial({"method.alpha": 1.5}))
    line = next(i for i, text in enumerate(found.written.path.read_text().splitlines(), 1) if "method.alpha" in text)
    assert caught.value.where == f"{found.written.path}:{line}: search.space.method.alpha"
    assert "found 1.5" in caught.value.what
    with pytest.raises(BadInput) as caught:
        trial_recipe(found, Trial({"strong.epochs": -1}))
    assert caught.value.where == "search.space.strong.epochs", "of a trial that an earlier, other space drew"


# ---- which trials


def test_random_trials_are_settled_by_seed_and_number(tmp_path: Path) -> None:
    found = searched(tmp_path, ALPHA)
    all_of_them = random_trials(found, 0, 30)
    assert random_trials(found, 0, 10) + random_trials(found, 10, 20) == all_of_them
    assert random_trials(searched(tmp_path, ALPHA, "search.trials=500"), 0, 30) == all_of_them
    assert len({trial.key for trial in all_of_them}) == 30
    others = random_trials(searched(tmp_path, ALPHA, "search.seed=1"), 0, 30)
    assert not {trial.key for trial in others} & {trial.key for trial in all_of_them}


def test_the_very_numbers(tmp_path: Path) -> None:
    """A search that is extended years later must draw on where it was: these numbers may never change."""
    drawn = [dict(trial.overrides) for trial in random_trials(searched(tmp_path, ALPHA), 0, 3)]
    assert drawn == [
        {"method.alpha": 0.652271, "method.warmup": 0.2},
        {"method.alpha": 0.36736, "method.warmup": 0.5},
        {"method.alpha": 0.526066, "method.warmup": 0.5},
    ]


def test_a_wider_domain_is_another_draw_and_the_other_fields_stay(tmp_path: Path) -> None:
    before = random_trials(searched(tmp_path, ALPHA), 0, 20)
    after = random_trials(searched(tmp_path, {**ALPHA, "method.alpha": {"uniform": [0, 1]}}), 0, 20)
    assert [t.overrides["method.warmup"] for t in before] == [t.overrides["method.warmup"] for t in after]
    shares = [
        (t.overrides["method.alpha"] / 0.9, u.overrides["method.alpha"]) for t, u in zip(before, after, strict=True)
    ]
    assert all(abs(one - other) > 1e-4 for one, other in shares), "not the same trial stretched"


def test_draws_are_spread_over_their_domains(tmp_path: Path) -> None:
    trials = random_trials(searched(tmp_path, ALPHA, "search.seed=3"), 0, 400)
    alphas = sorted(trial.overrides["method.alpha"] for trial in trials)
    assert max(abs(alpha / 0.9 - (i + 0.5) / 400) for i, alpha in enumerate(alphas)) < 0.08  # Kolmogorov, p > 0.01
    warmups = [trial.overrides["method.warmup"] for trial in trials]
    assert all(100 < warmups.count(value) < 170 for value in (0, 0.2, 0.5))


def test_a_small_space_is_drawn_empty_and_then_refused(tmp_path: Path) -> None:
    found = searched(tmp_path, {"method.warmup": [0, 0.2, 0.5], "method.alpha": [0, 1]}, search={"trials": 6})
    assert len({trial.key for trial in random_trials(found, 0, 6)}) == 6
    with pytest.raises(BadInput, match="7 are asked for, and no more than 6"):
        random_trials(found, 0, 7)


def test_a_grid_has_every_point_once(tmp_path: Path) -> None:
    space = {"method.alpha": {"uniform": [0, 0.9], "step": 0.3}, "method.warmup": [0, 0.5]}
    trials = grid_trials(searched(tmp_path, space, search={"algorithm": "grid"}))
    points = [tuple(trial.overrides.values()) for trial in trials]
    assert points == [(alpha, warmup) for alpha in (0, 0.3, 0.6, 0.9) for warmup in (0, 0.5)]


def test_a_grid_over_chains_of_different_length(tmp_path: Path) -> None:
    space = {name: domain for name, domain in LADDERS.items() if name != "method.chain.1.lr"}
    trials = grid_trials(searched(tmp_path, space, search={"algorithm": "grid"}, **BOOTSTRAP))
    assert len(trials) == len({trial.key for trial in trials}) == 4 + 4**2 + 4**3


def test_corners_vary_one_field_at_a_time(tmp_path: Path) -> None:
    trials = corner_trials(searched(tmp_path, ALPHA))
    assert [tuple(trial.overrides.values()) for trial in trials] == [
        (0, 0.2),
        (0.9, 0.2),
        (0.45, 0),
        (0.45, 0.2),
        (0.45, 0.5),
    ]


def test_corners_reach_conditional_fields(tmp_path: Path) -> None:
    when = {"method.kind": "confidence"}
    space = {"method.kind": ["naive", "ensemble", "confidence"], "method.alpha": {"uniform": [0, 0.9], "when": when}}
    trials = corner_trials(searched(tmp_path, space))
    assert {trial.overrides.get("method.alpha") for trial in trials} == {None, 0, 0.45, 0.9}
    deep = corner_trials(searched(tmp_path, LADDERS, **BOOTSTRAP))
    assert {(len(t.overrides["method.chain"]), t.overrides.get("method.chain.1.lr")) for t in deep} >= {
        (2, 1e-4),
        (3, 1e-2),
    }
    assert {t.overrides.get("method.chain.2.epochs") for t in deep} >= {1, 4}
