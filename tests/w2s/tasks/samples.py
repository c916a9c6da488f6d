"""The hub tasks with their sample rows and every choice of form: what the tests that run over all tasks run over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from w2s import registry
from w2s.choices import ChoiceConfig
from w2s.hub import HubTaskConfig

Rows = tuple[dict[str, Any], ...]

HUB_TASKS = tuple(
    kind for kind in registry.names("tasks") if issubclass(registry.module("tasks", kind).Config, HubTaskConfig)
)


@dataclass(frozen=True)
class Case:
    """One task under one choice of form (and source), with four raw rows in its original columns."""

    kind: str
    changes: tuple[tuple[str, Any], ...]
    rows: Rows

    @property
    def name(self) -> str:
        return " ".join([self.kind, *(f"{field}={value}" for field, value in self.changes)])

    def config(self, **paths: str) -> HubTaskConfig:
        config: HubTaskConfig = registry.module("tasks", self.kind).Config.model_validate(
            {**dict(self.changes), **paths}
        )
        return config


def _cases(kind: str) -> list[Case]:
    module = registry.module("tasks", kind)
    changes: list[tuple[tuple[str, Any], ...]] = [()]
    for field in ("form", "support", "source"):
        info = module.Config.model_fields.get(field)
        if info is not None:
            values = (False, True) if info.annotation is bool else get_args(info.annotation)
            changes = [(*before, (field, value)) for before in changes for value in values]
    rows = module.ROWS
    return [Case(kind, change, rows[dict(change)["source"]] if isinstance(rows, dict) else rows) for change in changes]


CASES = tuple(case for kind in HUB_TASKS for case in _cases(kind))
CHOICES = tuple(kind for kind in HUB_TASKS if issubclass(registry.module("tasks", kind).Config, ChoiceConfig))
