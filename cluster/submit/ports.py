"""Ports for the Ray processes of one node: a block of neighbours, chosen by job and node, every one of them tried first.

Ray's own choices collide when jobs share a node; a block that depends on the job starts each job somewhere else.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields

from cluster.errors import BadEnvironment

LEAST_WORKERS = 64  # one for each process that ever ran at a time: drivers, keepers, idle ones, and the ranks of gangs
PER_CPU = 4  # solos that share a core, and what is being replaced


@dataclass(frozen=True)
class Ports:
    """What Ray's processes on a node listen on. `workers` is the first and the last port of the range for workers."""

    gcs: int
    client: int
    dashboard: int
    node_manager: int
    object_manager: int
    runtime_env_agent: int
    agent_grpc: int
    agent_http: int
    metrics: int
    workers: tuple[int, int]


SINGLES = len(fields(Ports)) - 1


def block_size(cpus: int) -> int:
    """How many ports a node of so many CPUs needs."""
    return SINGLES + max(LEAST_WORKERS, PER_CPU * cpus)


def block(first: int, size: int) -> Ports:
    """The block of `size` ports that begins at `first`."""
    workers = (first + SINGLES, first + size - 1)
    gcs, client, dashboard, node, objects, runtime_env, grpc, http, metrics = range(first, first + SINGLES)
    return Ports(gcs, client, dashboard, node, objects, runtime_env, grpc, http, metrics, workers)


def firsts(span: tuple[int, int], size: int, salt: str) -> Iterator[int]:
    """Where blocks begin within `span` (first port, and the port after the last), in the order in which to try them.

    The order is the same for equal salts; it begins anywhere and visits every block once.
    """
    count = (span[1] - span[0]) // size
    begin = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8]) % max(1, count)
    for turn in range(count):
        yield span[0] + (begin + turn) % count * size


def is_free(first: int, size: int) -> bool:
    """Whether so many ports in a row are free on this machine; all are taken at once to see, and given back."""
    with ExitStack() as taken:
        for port in range(first, first + size):
            listener = taken.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                listener.bind(("", port))
            except OSError:
                return False
    return True


def pick(span: tuple[int, int], cpus: int, salt: str, free: Callable[[int, int], bool] = is_free) -> Ports:
    """Free ports for a node of so many CPUs. Raises BadEnvironment when no block of `span` is free."""
    size = block_size(cpus)
    for first in firsts(span, size, salt):
        if free(first, size):
            return block(first, size)
    what = f"no {size} free ports in a row between {span[0]} and {span[1]}"
    raise BadEnvironment("ports", what, "give Ray a wider range: `ports` in the site file")
