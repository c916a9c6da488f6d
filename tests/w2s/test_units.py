"""Amounts as people write them."""

from __future__ import annotations

import pytest

from cluster.errors import BadInput
from w2s.units import mebibytes, parse_bytes, seconds


@pytest.mark.parametrize(
    "written, count", [("80GB", 80e9), ("1.5 GiB", 1.5 * 2**30), ("512m", 512e6), ("100", 100), ("2tb", 2e12)]
)
def test_amounts_of_memory(written: str, count: float) -> None:
    assert parse_bytes("mem", written) == count


def test_whole_mebibytes() -> None:
    assert mebibytes("mem", "64GiB") == 65_536
    assert mebibytes("mem", "1KB") == 1, "none would mean all of it to Slurm"


@pytest.mark.parametrize(
    "written, length",
    [
        ("2:30:00", 9000),
        ("1-00:00:00", 86_400),
        ("100:00:00", 360_000),
        ("90m", 5400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (" 2D ", 172_800),
    ],
)
def test_lengths_of_time(written: str, length: int) -> None:
    assert seconds("time", written) == length


@pytest.mark.parametrize("written", ["", "90", "90:00", "1:60:00", "-1h", "0s", "soon", "1h 30m later", "1:00:00:00"])
def test_what_could_mean_two_things_is_refused(written: str) -> None:
    with pytest.raises(BadInput, match=r"--time.*is not a length of time"):
        seconds("--time", written)


@pytest.mark.parametrize("written", ["much", "-1GB", "0", "80XB", ""])
def test_no_amount_of_memory(written: str) -> None:
    with pytest.raises(BadInput, match=r"--mem.*is not an amount of memory"):
        mebibytes("--mem", written)
