"""The experiment that the report's tests read: two methods, two seeds, on toy data."""

from __future__ import annotations

from typing import Any

from tests.conftest import toy_recipe
from w2s.recipe import Recipe


def toy(**changes: Any) -> Recipe:
    """Two methods, two seeds; the first keeps each member's grade beside the three that all methods have."""
    crowd = {"method": {"kind": "ensemble", "members": 2}, "baselines": [{"kind": "naive"}], "seeds": [0, 1]}
    return Recipe.model_validate(toy_recipe(**{**crowd, "strong__evaluate": 3, **changes}))


RECIPE = toy()
