"""A newcomer adds one file: a method, a loss or a task dropped into its folder is listed, checked and run, unregistered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, toy_recipe
from tests.w2s.command import finish, process

METHOD = '''"""Second thoughts: a first student labels the strong half anew, and a second one learns from that."""

from __future__ import annotations

from typing import Literal

from w2s.losses.smooth import Config as Smooth
from w2s.method import MethodConfig, supervision
from w2s.stages import Outcome
from w2s.world import World


class Config(MethodConfig):
    kind: Literal["second_thoughts"] = "second_thoughts"
    smooth: float = 0.1


def plan(world: World, config: Config) -> Outcome:
    """Weak labels, then the first student's."""
    verdict = supervision(world, config)
    first = world.train(world.strong, "strong", labels=verdict)
    second = world.train(world.strong, "strong", labels=world.predict(first, "strong"), loss=Smooth(amount=config.smooth))
    return world.outcome(verdict, second)
'''

LOSS = '''"""Cross-entropy on smoothed labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from w2s.loss import LossConfig, Statistics, soft_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class Config(LossConfig):
    kind: Literal["smooth"] = "smooth"
    amount: float = Field(0.1, ge=0, lt=1)


def loss(config: Config, logits_BC: Tensor, target_BC: Tensor, progress: float, statistics: Statistics | None) -> Tensor:
    """Per-row losses [B], in nats."""
    return soft_cross_entropy(logits_BC, (1 - config.amount) * target_BC + config.amount / target_BC.shape[-1])
'''

TASK = '''"""Parity of a word's length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from w2s.examples import Example
from w2s.task import Split, TaskConfig


class Config(TaskConfig):
    kind: Literal["parity"] = "parity"
    size: int = 120


def examples(config: Config, split: Split) -> Iterator[Example]:
    """`size` rows for training, half as many for the test."""
    start, count = (0, config.size) if split == "train" else (config.size, config.size // 2)
    for number in range(start, start + count):
        text = f"{number} " + "a" * (number % 7 + 1)
        yield Example((text,), number % 7 % 2, text)
'''

FILES = {"methods/second_thoughts.py": METHOD, "losses/smooth.py": LOSS, "tasks/parity.py": TASK}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the newcomer's three files, and a recipe that uses them."""
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(ROOT / "w2s", folder / "w2s", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (folder / "w2s" / name).write_text(text, encoding="utf-8")
    recipe = toy_recipe(
        task={"kind": "parity"}, method={"kind": "second_thoughts"}, baselines=[{"kind": "ensemble", "loss": "smooth"}]
    )
    (folder / "new.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(recipe))), encoding="utf-8")
    return folder


def told(house: Path, *args: str) -> dict[str, object] | list[dict[str, object]]:
    done = finish(process(*args, "--json", cwd=house, env={"PYTHONPATH": f"{house}:{ROOT}"}))
    assert done.code == 0, done.err
    found: dict[str, object] | list[dict[str, object]] = json.loads(done.out)
    return found


@pytest.mark.parametrize("room,kind", [("methods", "second_thoughts"), ("losses", "smooth"), ("tasks", "parity")])
def test_it_is_listed(room: str, kind: str, house: Path) -> None:
    rows = told(house, "list", room)
    assert isinstance(rows, list)
    (row,) = (row for row in rows if row["name"] == kind)
    assert row["about"]


def test_it_is_checked(house: Path) -> None:
    checked = told(house, "check", "new.yaml")
    assert isinstance(checked, dict)
    assert checked["methods"] == ["second_thoughts", "ensemble loss=smooth"]
    done = finish(process("check", "new.yaml", "method.smoth=0.2", cwd=house, env={"PYTHONPATH": f"{house}:{ROOT}"}))
    assert done.code == 2
    assert "did you mean 'smooth'?" in done.err


def test_it_runs(house: Path) -> None:
    ran = told(house, "run", "new.yaml", "--pool", "inline", "--store", "store")
    assert isinstance(ran, dict)
    results = ran["results"]
    assert isinstance(results, dict)
    assert [row["method"] for row in results["rows"]] == ["second_thoughts", "ensemble loss=smooth"]
    assert all(row[side]["mean"] is not None for row in results["rows"] for side in ("floor", "transfer", "ceiling"))
