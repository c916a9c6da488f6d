"""Peaks are those of the very device, or there are none."""

from __future__ import annotations

import pytest

from cluster.peaks import peak_flops


@pytest.mark.parametrize(
    ("device", "precision", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA A100 80GB PCIe", "fp32", 19.5e12),
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4e12),
        ("NVIDIA H100 PCIe", "fp16", 756e12),
        ("NVIDIA H100 NVL", "bf16", 835.5e12),
        ("NVIDIA H200", "bf16", 989.4e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("NVIDIA L4", "bf16", 121e12),
        ("Tesla V100-SXM2-16GB", "fp16", 125e12),
        ("Tesla V100-SXM2-16GB", "bf16", None),  # it has none
        ("Tesla V100-PCIE-16GB", "fp16", None),  # another one
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16", None),  # a seventh of one
        ("NVIDIA GH200 480GB", "bf16", None),
        ("NVIDIA A10G", "bf16", None),
        ("", "bf16", None),
    ],
)
def test_a_device_has_its_own_peak_or_none(device: str, precision: str, peak: float | None) -> None:
    assert peak_flops(device, precision) == peak
