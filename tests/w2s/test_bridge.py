"""Stages become jobs: what each reserves, and which machine choices its code may read."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.job import Job, Resources
from tests.conftest import toy_recipe
from w2s import bridge
from w2s.recipe import Recipe


def jobs(**strong: Any) -> list[Job]:
    """Of the strong model: its trainings and predictions."""
    recipe = Recipe.model_validate(toy_recipe(machines={"strong": {"gpus": 0, **strong}}, baselines=[]))
    made = bridge.jobs(recipe).values()
    return [job for job in made if "bert-32x2" in job.name and job.kind in ("Train", "Predict")]


@pytest.mark.parametrize("machine,gang", [
    ({}, False),
    ({"devices": 2}, True),
    ({"devices": 2, "zero": 2}, False),
    ({"zero": 3}, True),
    ({"offload": "cpu"}, True),
    ({"offload": "cpu", "zero": 1}, False),
])  # fmt: skip
def test_what_may_not_fit_one_device_predicts_in_a_gang(machine: dict[str, Any], gang: bool) -> None:
    predicts = [job for job in jobs(**machine) if job.kind == "Predict"]
    assert predicts
    assert {job.resources.ranks > 0 for job in predicts} == {gang}


def test_weights_that_lived_in_the_hosts_memory_do_so_again() -> None:
    for job in jobs(offload="cpu", zero=3):
        assert job.machines["offload"] == "cpu"
    assert all("offload" not in job.machines for job in jobs() if job.kind == "Predict")


def test_a_part_of_a_gpu_is_told_to_those_who_fit_into_it() -> None:
    [train, *_] = [job for job in jobs(gpus=0.25) if job.kind == "Train"]
    assert train.machines["gpus"] == train.resources.gpus == 0.25
    assert isinstance(train.resources, Resources)
