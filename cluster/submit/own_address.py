"""The address under which the other nodes reach this one. A name may lead to loopback here and to the right place elsewhere."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from cluster.errors import BadEnvironment

LOOPBACK = "127.0.0.1"
ANYWHERE = "198.51.100.1"  # nobody's: only asked for the way there, nothing is sent


def own_address(interface: str | None, name: str, peer: str | None) -> str:
    """This node's IPv4 address: the interface's; else its name's; else the one from which `peer` is reached.

    `name` is what Slurm calls this node's address. Raises BadEnvironment for an interface without an address.
    """
    if interface:
        return _of_interface(interface)
    mine = {address for addresses in _interfaces().values() for address in addresses}
    ways = (_resolve(name), _way_to(peer), _way_to(ANYWHERE))
    return next((ip for ip in ways if ip in mine and not ipaddress.ip_address(ip).is_loopback), LOOPBACK)


def _of_interface(interface: str) -> str:
    there = _interfaces()
    if not there.get(interface):
        remedy = (
            f"set `interface` in the site file to one of: {', '.join(name for name in sorted(there) if there[name])}"
        )
        raise BadEnvironment(f"interface {interface}", f"has no IPv4 address on {socket.gethostname()}", remedy)
    return there[interface][0]


def _interfaces() -> dict[str, list[str]]:
    """The IPv4 addresses of each interface."""
    return {
        name: [entry.address for entry in entries if entry.family == socket.AF_INET]
        for name, entries in psutil.net_if_addrs().items()
    }


def _resolve(name: str | None) -> str:
    """The IPv4 address of a name; "" if it has none."""
    try:
        return socket.gethostbyname(name) if name else ""
    except OSError:
        return ""


def _way_to(host: str | None) -> str:
    """Our address on the way to a host; "" where there is no way."""
    address = _resolve(host)
    if not address:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""
