"""A search that cannot be: exit code 2 and one line that says where, what and what next (golden texts in `tests/golden/errors/`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.w2s.command import w2s, write_recipe
from tests.w2s.test_bad_input import check

ALPHA: dict[str, Any] = {"method.alpha": {"uniform": [0, 0.9]}}
CHAIN = {"method": {"kind": "bootstrap", "chain": ["weak", "strong"]}, "baselines": []}
EPOCHS = {"uniform": [1, 2]}
SHORT_RUNG = {"learner": "weak", "epochs": 1}
CIRCLE = {
    "method.alpha": {"choice": [0, 1], "when": {"method.warmup": 0}},
    "method.warmup": {"choice": [0, 1], "when": {"method.alpha": 0}},
}
PBT = {"algorithm": "pbt", "trials": 4}


def over(path: str, domain: Any, **changes: Any) -> dict[str, Any]:
    return {"search": {"space": {path: domain}}, **changes}


def settings(_space: Any = None, **choices: Any) -> dict[str, Any]:
    return {"search": {"space": _space or ALPHA, **choices}}


SEARCHES: dict[str, dict[str, Any]] = {
    # the space
    "no_space": {"search": {}},
    "empty_space": {"search": {"space": {}}},
    "unknown_path": over("method.alhpa", [0, 1]),
    "unknown_branch": over("methd.alpha", [0, 1]),
    "unknown_nested_path": over("strong.optim.lrr", [0.1, 0.2]),
    "path_below_a_number": over("method.alpha.deep", [0, 1]),
    "path_with_a_hole": over("method..alpha", [0, 1]),
    "path_of_machines": over("machines.strong.devices", [1, 2]),
    "path_of_seeds": over("seeds", [1, 2]),
    "path_of_baselines": over("baselines.0.members", [1, 2]),
    "path_of_the_search": over("search.trials", [1, 2]),
    "path_of_the_name": over("name", ["a", "b"]),
    "star_without_a_list": over("method.*", [0, 1]),
    "star_over_a_mapping": over("strong.optim.*.lr", [0.1, 0.2]),
    "index_beyond_the_list": over("method.chain.2.epochs", EPOCHS, **CHAIN),
    "same_field_twice": {"search": {"space": {"method": ["naive", "confidence"], **ALPHA}}},
    "same_rung_twice": {"search": {"space": {"method.chain.*.epochs": EPOCHS, "method.chain.1.epochs": EPOCHS}}, **CHAIN},
    "chosen_and_drawn": {
        "search": {"space": {"method.chain": [["strong"], [SHORT_RUNG, "strong"]], "method.chain.*.epochs": EPOCHS}},
        **CHAIN,
    },
    "when_of_no_field": over("method.alpha", {"uniform": [0, 0.9], "when": {"method.varient": "paper"}}),
    "when_that_never_holds": over("method.alpha", {"uniform": [0, 0.9], "when": {"method.variant": "argmax"}}),
    "when_of_no_value": over("method.alpha", {"uniform": [0, 0.9], "when": {"method.variant": []}}),
    "when_in_a_circle": {"search": {"space": CIRCLE}},
    "when_with_a_star_of_its_own": over("method.alpha", {"choice": [0, 1], "when": {"method.chain.*.epochs": 1}}),
    # domains
    "number_for_a_domain": over("method.alpha", 0.5),
    "domain_of_no_kind": over("method.alpha", {"unifrom": [0, 1]}),
    "domain_of_two_kinds": over("method.alpha", {"uniform": [0, 1], "choice": [0]}),
    "domain_with_another_field": over("method.alpha", {"uniform": [0, 1], "stepp": 0.1}),
    "domain_backwards": over("method.alpha", {"uniform": [1, 0]}),
    "domain_of_three_ends": over("method.alpha", {"uniform": [0, 0.5, 1]}),
    "domain_of_words": over("method.alpha", {"uniform": [0, "high"]}),
    "loguniform_from_zero": over("strong.optim.lr", {"loguniform": [0, 0.1]}),
    "step_too_wide": over("method.alpha", {"uniform": [0, 0.5], "step": 0.6}),
    "integers_with_a_fraction": over("method.members", {"integers": [1, 2.5]}),
    "choice_of_nothing": over("method.alpha", []),
    "choice_doubled": over("method.alpha", [0.1, 0.2, 0.1]),
    # values
    "illegal_value": over("method.alpha", {"uniform": [0, 1.5]}),
    "illegal_choice": over("method.variant", ["paper", "papre"]),
    "illegal_kind": over("method.kind", ["naive", "confidnce"]),
    "illegal_only_together": over("strong.batch", {"integers": [15, 16]}, machines={"strong": {"devices": 2}}),
    "illegal_for_the_method": {"search": {"space": {"method.kind": ["confidence", "naive"], **ALPHA}}},
    # settings
    "no_such_objective": settings(objective="pgr"),
    "no_such_algorithm": settings(algorithm="tpe"),
    "no_such_scheduler": settings(scheduler="bohb"),
    "no_such_setting": settings(trails=3),
    "no_trials": settings(trials=0),
    "seeds_repeat": settings(seeds=[1, 1]),
    "budget_of_nothing": settings(budget={"minutes": 0}),
    "more_trials_than_the_space_has": settings({"method.warmup": [0, 0.5]}, trials=3),
    "grid_without_step": settings(algorithm="grid"),
    "grid_with_trials": settings({"method.warmup": [0, 0.5]}, algorithm="grid", trials=3),
    "scheduler_pbt_alone": settings(scheduler="pbt"),
    "scheduler_pbt_with_grid": settings({"method.warmup": [0, 0.5]}, scheduler="pbt", algorithm="grid"),
    "algorithm_pbt_with_asha": settings(scheduler="asha", **PBT),
    "pbt_of_another_field": settings({"method.warmup": {"uniform": [0, 1]}}, **PBT),
    "pbt_of_a_choice": settings({"method.alpha": [0, 0.5]}, **PBT),
    "pbt_of_one": settings(algorithm="pbt", trials=1),
    "pbt_with_another_method": {"search": {"space": ALPHA, **PBT}, "method": {"kind": "finetune"}},
    "pbt_with_select_best": {"search": {"space": ALPHA, **PBT}, "strong__select": "best"},
    "asha_over_a_probe": {
        "search": {"space": ALPHA, "scheduler": "asha"},
        "strong": {"model": {"source": "tiny:bert"}, "probe": {}, "max_tokens": 64},
    },
    "asha_over_a_chain": {
        "search": {"space": {"method.chain.*.epochs": [1, 2]}, "scheduler": "asha", "trials": 2},
        "method": {"kind": "bootstrap"},
    },
    "hyperband_by_steps": {"search": {"space": ALPHA, "scheduler": "hyperband"}, "strong__evaluate": 5},
    "hyperband_of_a_hundred": {"search": {"space": ALPHA, "scheduler": "hyperband", "trials": 100}, "strong__evaluate": "epoch"},
    "nothing_is_evaluated": {"search": {"space": ALPHA}, "strong__evaluate": "never"},
    "honest_objective_of_an_oracle": {"search": {"space": ALPHA}, "strong__select": "oracle"},
    "method_without_a_student": {"search": {"space": {"weak.epochs": [1, 2]}}, "method": {"kind": "floor"}, "baselines": []},
}  # fmt: skip


@pytest.mark.parametrize("name", SEARCHES)
def test_check_refuses(name: str, tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, **SEARCHES[name]))
    check(f"search_{name}", done, 2, tmp_path)
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


def test_a_fault_on_the_command_line_is_told_there(tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, **settings()), "search.space.method.alpha={uniform: [0, 1.5]}")
    assert done.code == 2
    assert done.err.startswith("w2s: command line: search.space.method.alpha: ")


def test_json_has_the_place_too(tmp_path: Path) -> None:
    done = w2s("check", write_recipe(tmp_path, **SEARCHES["unknown_path"]), "--json")
    assert done.code == 2
    assert done.json["where"].endswith("search.space.method.alhpa")
