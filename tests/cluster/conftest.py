"""A real Ray cluster of two CPUs on this machine, one for each file that asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster.ray_connect import connect, disconnect


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    before = dict(os.environ)
    connect(None, cpus=2)
    yield
    disconnect()
    os.environ.clear()
    os.environ.update(before)
