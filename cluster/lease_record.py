"""What a lease file says: who holds a key, and whether that process can still be alive."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from typing import Any

from cluster.provenance import boot_id, process_start_time


@dataclass(frozen=True)
class Owner:
    """A process that takes leases: a random id, and enough to tell whether it still lives."""

    id: str
    host: str
    boot: str
    pid: int
    process_start: float | None

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(secrets.token_hex(8), socket.gethostname(), boot_id(), pid, process_start_time(pid))


@dataclass(frozen=True)
class LeaseRecord:
    """What a lease file says. `owner_id` is new for every lease, also when one owner takes a key twice.

    `beat` counts heartbeats; of the last one, `monotonic_s` is the holder's monotonic clock (comparable within one
    boot) and `wall_s` seconds since the epoch.
    """

    key: str
    number: int
    owner_id: str
    owner: Owner
    ttl_s: float
    beat: int
    monotonic_s: float
    wall_s: float

    def __str__(self) -> str:
        return f"pid {self.owner.pid} on {self.owner.host}"

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> LeaseRecord | None:
        """The record, or None when the bytes are torn or foreign."""
        try:
            fields: dict[str, Any] = json.loads(raw)
            return cls(**{**fields, "owner": Owner(**fields["owner"])})
        except (ValueError, TypeError, KeyError):
            return None


def gone(owner: Owner) -> bool:
    """Whether a process of this machine has ended (its pid may have been given to another since)."""
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's: it is there, but /proc may hide when it began
        start = process_start_time(owner.pid)
        return start is not None and start != owner.process_start
    return process_start_time(owner.pid) != owner.process_start
