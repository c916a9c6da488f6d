"""torch.compile where the user asks for it: the same result to rounding; without a compiler, one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cluster.errors import BadEnvironment
from tests.w2s.work.test_train import bench

MACHINES = {"compile": True}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's own, while it compiles
def test_a_compiled_model_trains_to_the_same_weights(tmp_path: Path) -> None:
    made, stage = bench(tmp_path, strong__model={"source": "tiny:bert", "width": 16, "depth": 1})
    file = made.out(stage) / "model" / "model.safetensors"
    made.run(stage)
    plain = {name: tensor.clone() for name, tensor in load_file(file).items()}
    made.run(stage, machines=MACHINES, work="compiled")
    compiled = load_file(file)
    assert set(compiled) == set(plain), "parameters keep their names"
    gap = torch.stack([(compiled[name] - plain[name]).norm() for name in plain]).norm()
    size = torch.stack([plain[name].norm() for name in plain]).norm()
    assert 0 < gap / size < 1e-5, "other kernels ran, to the same end"


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, stage = bench(tmp_path)
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    with pytest.raises(BadEnvironment, match=r"needs a C\+\+ compiler.*install g\+\+, or set compile: false"):
        made.run(stage, machines=MACHINES)
