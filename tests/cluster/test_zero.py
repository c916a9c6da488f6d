"""ZeRO settings and batch arithmetic: every preset against its golden file, every cut against its product."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.zero import Cut, Zero, cut, deepspeed_config
from tests.conftest import ROOT

BILLION = 10**9
PRESETS = {
    "zero0": (Zero(0), "fp32", 1.0, 7 * BILLION),
    "zero1": (Zero(1), "bf16", 1.0, 7 * BILLION),
    "zero2": (Zero(2), "bf16", None, 7 * BILLION),
    "zero3": (Zero(3), "bf16", 1.0, 70 * BILLION),
    "zero3-small": (Zero(3), "fp32", 1.0, 22_000_000),
    "zero1-cpu": (Zero(1, "cpu"), "fp32", 1.0, BILLION),
    "zero2-cpu": (Zero(2, "cpu"), "bf16", 1.0, BILLION),
    "zero3-cpu": (Zero(3, "cpu"), "bf16", 1.0, 70 * BILLION),
    "zero3-nvme": (Zero(3, "nvme", "/local/nvme"), "bf16", 1.0, 70 * BILLION),
}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("train", [True, False], ids=["train", "predict"])
def test_presets(name: str, train: bool) -> None:
    """W2S_UPDATE_GOLDEN=1 writes the files anew: read the difference before committing it."""
    zero, precision, clip, parameters = PRESETS[name]
    found = deepspeed_config(zero, precision, clip, parameters=parameters, train=train)
    file = ROOT / "tests" / "golden" / "zero" / f"{name}{'' if train else '-predict'}.json"
    if os.environ.get("W2S_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(file.read_text())


def test_deepspeed_accepts_every_preset_as_it_reads_it() -> None:
    """No field is misspelt or out of place: DeepSpeed's own model of its configuration forbids unknown ones."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    for zero, precision, clip, parameters in PRESETS.values():
        section = deepspeed_config(zero, precision, clip, parameters=parameters)["zero_optimization"]
        read = DeepSpeedZeroConfig(**section)
        assert read.stage == zero.stage
        offloads = read.offload_optimizer is not None and str(read.offload_optimizer.device)
        assert offloads == (zero.offload if zero.offload != "none" else False)
        assert not read.model_extra


def test_a_small_model_is_not_whole_on_a_rank() -> None:
    section = deepspeed_config(Zero(3), "fp32", None, parameters=1000)["zero_optimization"]
    assert section["stage3_max_live_parameters"] == section["stage3_max_reuse_distance"] == 250


@given(st.integers(1, 64), st.integers(1, 16), st.integers(1, 8))
def test_what_divides_is_cut(micro: int, accumulation: int, ranks: int) -> None:
    batch = micro * accumulation * ranks
    assert cut(batch, ranks, micro) == Cut(micro, accumulation, ranks)
    assert cut(batch, ranks, micro).batch == batch
    assert cut(batch, ranks, None) == Cut(batch // ranks, 1, ranks)


@given(st.integers(1, 300), st.integers(1, 16), st.integers(1, 64))
def test_what_does_not_divide_is_refused_with_what_would(batch: int, ranks: int, micro: int) -> None:
    if batch % ranks == 0 and (batch // ranks) % micro == 0:
        return
    with pytest.raises(BadInput) as refused:
        cut(batch, ranks, micro)
    near = [int(number) for number in refused.value.remedy.removeprefix("nearest that do: ").split(", ")]
    assert near
    for number in near:
        legal = number % ranks == 0 if batch % ranks else (batch // ranks) % number == 0
        assert legal, refused.value
