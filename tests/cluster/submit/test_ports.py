"""Ports for Ray: blocks that do not overlap, in an order that depends on the job, and never one that is taken."""

from __future__ import annotations

import socket
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadEnvironment
from cluster.submit.ports import block, block_size, firsts, is_free, pick

SPAN = (20_000, 32_000)


@given(cpus=st.integers(1, 512), salt=st.text(max_size=20))
def test_blocks_cover_the_span_without_overlap(cpus: int, salt: str) -> None:
    size = block_size(cpus)
    order = list(firsts(SPAN, size, salt))
    assert len(set(order)) == len(order) == (SPAN[1] - SPAN[0]) // size
    assert min(order) >= SPAN[0]
    assert max(order) + size <= SPAN[1]
    assert all((first - SPAN[0]) % size == 0 for first in order)


def test_jobs_begin_somewhere_else_and_each_always_at_the_same_place() -> None:
    begins = [next(firsts(SPAN, block_size(8), f"{job}.0/w1/0")) for job in range(50)]
    assert len(set(begins)) > 30
    assert begins == [next(firsts(SPAN, block_size(8), f"{job}.0/w1/0")) for job in range(50)]


def test_every_port_of_a_block_has_one_use() -> None:
    ports = block(20_000, block_size(4))
    singles = [getattr(ports, name) for name in ports.__dataclass_fields__ if name != "workers"]
    used = [*singles, *range(ports.workers[0], ports.workers[1] + 1)]
    assert sorted(used) == list(range(20_000, 20_000 + block_size(4)))
    assert ports.workers[1] - ports.workers[0] + 1 >= 64


def test_a_block_with_one_port_taken_is_passed_over() -> None:
    size = block_size(1)
    wanted = islice(firsts(SPAN, size, "job"), 20)
    first = next(first for first in wanted if is_free(first, size))
    with socket.socket() as other:
        other.bind(("127.0.0.1", first + size - 1))
        assert not is_free(first, size)
        assert pick(SPAN, 1, "job").gcs != first
    assert is_free(first, size)


def test_where_none_is_free_the_site_file_is_named() -> None:
    with pytest.raises(BadEnvironment, match=r"between 20000 and 20100; .*`ports` in the site file"):
        pick((20_000, 20_100), 1, "job", free=lambda first, size: False)
    with pytest.raises(BadEnvironment, match="no 73 free ports in a row"):
        pick((20_000, 20_010), 1, "job")
