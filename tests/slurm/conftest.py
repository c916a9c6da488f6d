"""A real Slurm of three virtual nodes, one for each worker that asks for it; skipped where Slurm cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm import box


@pytest.fixture(scope="session")
def slurm() -> Iterator[box.Slurm]:
    """The box. In a test that asks for it, SLURM_CONF leads there; elsewhere use `slurm.env`."""
    why = box.missing()
    if why:
        pytest.skip(why)
    running = box.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _slurm_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that a test runs mean the box, and no other Slurm."""
    if "slurm" in request.fixturenames:
        running: box.Slurm = request.getfixturevalue("slurm")
        monkeypatch.setenv("SLURM_CONF", running.env["SLURM_CONF"])
        monkeypatch.setenv("PATH", running.env["PATH"])
