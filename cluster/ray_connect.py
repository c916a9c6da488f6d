"""Joining a Ray cluster, or starting one on this machine that lives and dies with this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cluster import local_session
from cluster.errors import BadEnvironment, BadInput, Problem

OBJECT_STORE_BYTES = 128 * 1024**2  # paths and receipts travel, never weights: Ray's default would take 30 % of memory


def connect(address: str | None, *, cpus: int | None = None, dashboard: bool = False) -> None:
    """Join the Ray cluster at `address`, or start one on this machine (token auth, loopback only).

    Raises BadEnvironment when the address does not answer. A cluster that asks for a token finds it where Ray looks:
    RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # a worker without GPUs keeps the caller's CUDA settings
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    folder = None
    if address is None:
        folder = fresh_session()
        os.environ.pop("RAY_ADDRESS", None)  # a stray variable must not lead us into somebody's cluster
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                num_cpus=cpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
                **quiet,
            )
        else:
            _answers(address)
            ray.init(address=address, **quiet)
    except Problem:
        raise
    except Exception as error:
        remedy = (
            "is it running (`ray status`), and do RAY_AUTH_MODE and the token match?" if address else "see `w2s doctor`"
        )
        raise BadEnvironment(
            f"Ray at {address or 'this machine'}", f"could not be reached or started: {first_line(error)}", remedy
        ) from None


def fresh_session() -> Path:
    """The private folder and token of a cluster that this process is about to start; Ray is told to use them."""
    folder = local_session.begin()  # first: Ray reads how to authenticate when it is imported
    _authenticate_anew()
    return folder


def disconnect() -> None:
    """Leave the cluster; one of our own ends with us."""
    import ray

    ray.shutdown()
    local_session.end()
    _authenticate_anew()


def _authenticate_anew() -> None:
    """Have Ray look at the environment again: it reads the mode once, and keeps the token of a cluster used before."""
    from ray import _raylet

    raylet: Any = _raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _answers(address: str) -> None:
    """A quick knock before Ray's own long wait: `ray.init` on a dead address takes minutes to say so."""
    import socket

    if address.startswith("ray://"):
        raise BadInput(
            "--ray-address", f"'{address}' is a Ray Client address", "give the head's own, HOST:PORT (6379 by default)"
        )
    host, _, port = address.rpartition(":")
    if address == "auto" or not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            pass
    except OSError as error:
        raise BadEnvironment(
            f"Ray at {address}", f"does not answer: {error.strerror or error}", "check the address and `ray status`"
        ) from None


def first_line(error: BaseException) -> str:
    """What an error says first: Ray's errors go on for pages."""
    return str(error).strip().split("\n")[0]
