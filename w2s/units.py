"""Amounts as people write them: `64GB` of memory, `2:30:00` of time."""

from __future__ import annotations

import re

from cluster.errors import BadInput

BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MIB = 2**20


def parse_bytes(where: str, written: str | int) -> int:
    """`80GB`, `80 GiB`, `512m` in bytes. Raises BadInput."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", str(written), re.IGNORECASE)
    if match is None or match[2].upper() not in BYTES or not float(match[1]):
        raise BadInput(where, f"'{written}' is not an amount of memory", "write it like 80GB or 512MiB")
    return int(float(match[1]) * BYTES[match[2].upper()])


def mebibytes(where: str, written: str | int) -> int:
    """The same in whole MiB, at least one. Raises BadInput."""
    return max(1, parse_bytes(where, written) // MIB)


def seconds(where: str, written: str | int) -> int:
    """`2:30:00`, `1-00:00:00` (days first), `90m`, `1h30m` in seconds. Raises BadInput.

    `90` and `90:00` are refused: Slurm reads minutes, and minutes and seconds; people often mean something else.
    """
    text = str(written).strip().lower()
    clock = re.fullmatch(r"(?:(\d{1,4})-)?(\d{1,4}):([0-5]?\d):([0-5]?\d)", text)
    if clock:
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        total = ((24 * days + hours) * 60 + minutes) * 60 + rest
    elif re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd])+", text):
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
        total = round(sum(float(number) * SECONDS[unit] for number, unit in parts))
    else:
        total = 0
    if total <= 0:
        raise BadInput(where, f"'{written}' is not a length of time", "write it like 4:00:00, 1-12:00:00 or 90m")
    return total
