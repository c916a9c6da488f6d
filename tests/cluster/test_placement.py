"""Whether a gang fits and how it is spread: plain numbers."""

from __future__ import annotations

import pytest

from cluster.errors import BadEnvironment
from cluster.job import Resources
from cluster.placement import Node, refuse_gang, refuse_solo, strategy

EIGHT = Node(cpus=64, gpus=8)


@pytest.mark.parametrize(
    ("ranks", "nodes", "there", "expected"),
    [
        (8, None, [EIGHT, EIGHT], "STRICT_PACK"),
        (8, 1, [EIGHT, EIGHT], "STRICT_PACK"),
        (16, None, [EIGHT, EIGHT], "PACK"),
        (16, 2, [EIGHT, EIGHT], "PACK"),
        (2, 2, [EIGHT, EIGHT], "STRICT_SPREAD"),
        (1, 1, [EIGHT], "STRICT_PACK"),
    ],
)
def test_a_gang_is_packed_unless_it_asks_to_be_spread(
    ranks: int, nodes: int | None, there: list[Node], expected: str
) -> None:
    shape = Resources(cpus=1, gpus=1, ranks=ranks, nodes=nodes)
    refuse_gang("team", shape, there)
    assert strategy(shape, there) == expected


@pytest.mark.parametrize(
    ("shape", "there", "what"),
    [
        (
            Resources(cpus=2, ranks=4),
            [Node(1, 0)] * 2,
            "asks for 4 devices of 2 CPUs each; the cluster has 2 nodes with 2 CPUs",
        ),
        (
            Resources(cpus=1, gpus=1, ranks=9),
            [EIGHT],
            "asks for 9 devices of 1 CPUs and 1 GPUs each; the cluster has 1 node",
        ),
        (
            Resources(cpus=1, ranks=65, nodes=1),
            [EIGHT, EIGHT],
            "each on 1 node; the cluster has 2 nodes with 128 CPUs in all",
        ),
        (Resources(cpus=1, ranks=4, nodes=4), [EIGHT, EIGHT], "each on 4 nodes; the cluster has 2 nodes"),
        (Resources(cpus=3, ranks=2), [Node(2, 0), Node(4, 0)], "asks for 2 devices of 3 CPUs each"),
    ],
)
def test_what_can_never_fit_is_refused(shape: Resources, there: list[Node], what: str) -> None:
    with pytest.raises(BadEnvironment, match="lower devices or cpus") as refused:
        refuse_gang("team", shape, there)
    assert what in refused.value.what


def test_fractions_add_up() -> None:
    assert Node(0.3, 0).holds(Resources(cpus=0.1)) == 3, "0.3 / 0.1 is 2.9999999999999996"


def test_a_solo_must_fit_one_node() -> None:
    refuse_solo("solo", Resources(cpus=64), [EIGHT, EIGHT])
    with pytest.raises(BadEnvironment, match="asks for 65 CPUs, and the largest node has 64"):
        refuse_solo("solo", Resources(cpus=65), [EIGHT, EIGHT])
