"""Versions are locked: what a key means may change only on purpose.

Fields, defaults and VERSION of everything that enters a key are written in `tests/golden/versions.json`, with the keys of a
small recipe. When a test here fails: if the same fields now mean another result, raise VERSION; then write the lock anew with
`W2S_UPDATE_GOLDEN=1 python -m pytest tests/invariant/test_versions.py` and read the difference in review.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
from typing import Any

from tests.conftest import ROOT, toy_recipe
from w2s import registry, stages
from w2s.config import Config, identity
from w2s.explain import Explain
from w2s.learner import Learner, Lora, ModelRef, Optim, Probe, Schedule
from w2s.probe import Subspace
from w2s.prompt import Prompt
from w2s.recipe import Recipe

WORDS = ("title", "description")  # for people: they may be reworded
LOCK = ROOT / "tests" / "golden" / "versions.json"


def fields(config: type[Config]) -> dict[str, Any]:
    schema = config.model_json_schema()["properties"]
    told = {name: {word: value for word, value in facts.items() if word not in WORDS} for name, facts in schema.items()}
    defaults = {
        name: identity(info.get_default()) for name, info in config.model_fields.items() if not info.is_required()
    }
    return {"version": config.VERSION, "fields": told, "defaults": json.loads(json.dumps(defaults))}


def current() -> dict[str, Any]:
    lock: dict[str, Any] = {
        "configs": {
            c.__name__: fields(c)
            for c in (Explain, Learner, Lora, ModelRef, Optim, Probe, Prompt, Schedule, stages.Split, Subspace)
        }
    }
    for room in ("tasks", "losses"):
        lock[room] = {kind: fields(registry.module(room, kind).Config) for kind in registry.names(room)}
    kinds = [
        c
        for _, c in inspect.getmembers(stages, inspect.isclass)
        if issubclass(c, stages.Stage) and c is not stages.Stage
    ]
    lock["stages"] = {
        c.__name__: {"version": c.VERSION, "fields": [f.name for f in dataclasses.fields(c)]} for c in kinds
    }
    keys = sorted(Recipe.model_validate(toy_recipe()).graph())
    lock["toy keys"] = hashlib.sha256("".join(keys).encode()).hexdigest()
    return lock


def test_versions_are_locked() -> None:
    found = current()
    if os.environ.get("W2S_UPDATE_GOLDEN"):
        LOCK.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(LOCK.read_text()), __doc__


def test_a_raised_version_changes_the_keys(monkeypatch: Any) -> None:
    before = set(Recipe.model_validate(toy_recipe()).graph())
    monkeypatch.setattr(stages.Train, "VERSION", 99)
    after = set(Recipe.model_validate(toy_recipe()).graph())
    assert len(before & after) == 1, "only the rows stage is above every Train"
    monkeypatch.setattr(registry.module("tasks", "toy").Config, "VERSION", 99)
    assert not before & set(Recipe.model_validate(toy_recipe()).graph())
