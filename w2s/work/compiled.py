"""torch.compile for a model's body, where the user asks for it: other kernels, the same result to rounding."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cluster import surroundings
from cluster.errors import BadEnvironment
from w2s.work.language import TextLoss
from w2s.work.model import Classifier


def compile_if_asked(machines: Mapping[str, Any], model: Classifier | TextLoss, device: str) -> None:
    """Compile the body in place, for any length of text. Parameters keep their names.

    Raises BadEnvironment where kernels for the CPU would be needed and there is no C++ compiler to make them.
    """
    if not machines.get("compile"):
        return
    if device == "cpu" and surroundings.compiler(os.environ) is None:
        raise BadEnvironment(
            "machines: compile", "needs a C++ compiler, and there is none", "install g++, or set compile: false"
        )
    model.body.compile(dynamic=True)
