"""torch.compile for a model's body, where the user asks for it: other kernels, the same result to rounding."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from cluster.errors import BadEnvironment
from w2s.work.model import Classifier


def compile_if_asked(machines: Mapping[str, Any], model: Classifier, device: str) -> None:
    """Compile the body in place, for any length of text. Parameters keep their names.

    Raises BadEnvironment where kernels for the CPU would be needed and there is no C++ compiler to make them.
    """
    if not machines.get("compile"):
        return
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        raise BadEnvironment(
            "machines: compile",
            f"needs a C++ compiler, and '{compiler}' is not here",
            "install g++, or set compile: false",
        )
    model.body.compile(dynamic=True)
