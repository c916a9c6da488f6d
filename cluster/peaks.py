"""What GPUs could do at most: dense tensor-core operations a second, from their makers' data sheets, by device name.

Model FLOPs utilization (Chowdhery et al. 2022, appendix B) is held against these. A device that is not listed has no peak here,
and then no utilization is told: a guess would be no measurement.
"""

from __future__ import annotations

TERA = 1e12
PEAKS: tuple[tuple[str, dict[str, float]], ...] = (
    # without sparsity; longer names before the shorter ones that they contain
    ("B200", {"bf16": 2250 * TERA, "fp16": 2250 * TERA}),
    ("H200 NVL", {"bf16": 835.5 * TERA, "fp16": 835.5 * TERA}),
    ("H200", {"bf16": 989.4 * TERA, "fp16": 989.4 * TERA, "fp32": 66.9 * TERA}),
    ("H100 NVL", {"bf16": 835.5 * TERA, "fp16": 835.5 * TERA}),
    ("H100 PCIe", {"bf16": 756 * TERA, "fp16": 756 * TERA, "fp32": 51.2 * TERA}),
    ("H100 80GB HBM3", {"bf16": 989.4 * TERA, "fp16": 989.4 * TERA, "fp32": 66.9 * TERA}),
    ("A100", {"bf16": 312 * TERA, "fp16": 312 * TERA, "fp32": 19.5 * TERA}),
    ("A40", {"bf16": 149.7 * TERA, "fp16": 149.7 * TERA, "fp32": 37.4 * TERA}),
    ("A30", {"bf16": 165 * TERA, "fp16": 165 * TERA, "fp32": 10.3 * TERA}),
    ("L40S", {"bf16": 362 * TERA, "fp16": 362 * TERA, "fp32": 91.6 * TERA}),
    ("L4", {"bf16": 121 * TERA, "fp16": 121 * TERA, "fp32": 30.3 * TERA}),
    ("V100 SXM2", {"fp16": 125 * TERA, "fp32": 15.7 * TERA}),
    ("T4", {"fp16": 65 * TERA, "fp32": 8.1 * TERA}),
)


def peak_flops(device: str, precision: str) -> float | None:
    """FLOP/s of a device as CUDA names it (`NVIDIA A100-SXM4-80GB`), in fp32, bf16 or fp16; None where it is not known.

    fp32 is plain fp32: torch multiplies so unless it is told otherwise.
    """
    words = device.replace("-", " ").split()
    if "MIG" in words:  # a slice of a device
        return None
    for name, peaks in PEAKS:
        own = name.split()
        if any(words[place : place + len(own)] == own for place in range(len(words))):
            return peaks.get(precision)
    return None
