"""Which of its addresses a node gives to the others."""

from __future__ import annotations

import psutil
import pytest

from cluster.errors import BadEnvironment
from cluster.submit.own_address import own_address


def test_a_node_has_an_address_others_can_reach_where_there_is_one() -> None:
    mine = {e.address for entries in psutil.net_if_addrs().values() for e in entries if e.family == 2}
    assert own_address(None, "localhost", None) in mine
    others = [address for address in mine if not address.startswith("127.")]
    if others:
        assert not own_address(None, "localhost", None).startswith("127.")
        assert own_address(None, others[0], "127.0.0.1") == others[0]
    assert own_address("lo", "localhost", None) == "127.0.0.1"
    with pytest.raises(BadEnvironment, match=r"interface ib9: has no IPv4 address.*one of: .*lo"):
        own_address("ib9", "localhost", None)
