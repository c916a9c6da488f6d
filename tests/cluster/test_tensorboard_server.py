"""How a TensorBoard that runs elsewhere is reached, and ports that cannot be had."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster.errors import BadInput
from cluster.tensorboard_server import serve, tunnel

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # a copy inside TensorBoard


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"DISPLAY": ":0"}, None),
        ({"TERM_PROGRAM": "Apple_Terminal"}, None),
        ({}, "ssh -N -L 6006:127.0.0.1:6006 ada@box"),
        ({"SSH_CONNECTION": "10.0.0.2 5022 10.0.0.9 22"}, "ssh -N -L 6006:127.0.0.1:6006 ada@box"),
        ({"SSH_CONNECTION": "10.0.0.2 5022 10.0.0.9 2222"}, "ssh -N -p 2222 -L 6006:127.0.0.1:6006 ada@box"),
        # X forwarding gives a display, and the browser is still on the other side
        ({"SSH_CONNECTION": "10.0.0.2 5022 10.0.0.9 22", "DISPLAY": ":10"}, "ssh -N -L 6006:127.0.0.1:6006 ada@box"),
        (
            {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_HOST": "login", "SSH_CONNECTION": "a 1 b 2222"},
            "ssh -N -J ada@login -L 6006:127.0.0.1:6006 ada@box",
        ),
    ],
)
def test_the_way_to_it(environ: dict[str, str], line: str | None) -> None:
    assert tunnel(environ, 6006, "ada", "box") == line


def test_a_port_that_is_taken_or_none_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"--port: .*port {port}, it was already in use; give another"):
            serve(tmp_path, port)
    with pytest.raises(BadInput, match="--port: 70000 is no port; give one from 1 to 65535"):
        serve(tmp_path, 70_000)
