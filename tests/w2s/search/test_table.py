"""The trial table: no whole line is ever lost, torn ones are passed over, one driver writes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import BadEnvironment
from tests.conftest import ROOT
from w2s.search.table import TABLE, Row, Table


def row(number: int = 0, status: Any = "running", **changes: Any) -> Row:
    return Row(trial=f"{number:064x}", number=number, overrides={"method.alpha": number / 8}, status=status, **changes)


def test_a_row_is_read_as_it_was_written() -> None:
    full = row(
        3, "done", keys={"student": ("a" * 64,)}, reports=({"rung": 1, "step": 20, "objective": 0.5, "agreement": None},),
        metrics={"pgr": 0.5, "oracle": True, "note": "x", "n": 3}, seconds=1.5, attempt=2,
    )  # fmt: skip
    assert Row.from_json(full.to_json()) == full
    assert "\n" not in full.to_json()


@given(
    st.floats(), st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
)
def test_any_row_is_one_line(seconds: float, text: str, value: Any) -> None:
    """NaN and infinities, which JSON lacks, become null, in overrides, metrics and reports."""
    line = row(1, metrics={"x": seconds, "y": text}, reports=({"objective": seconds},)).to_json()
    assert "\n" not in line
    found = Row.from_json(line)
    assert found.metrics["y"] == text
    assert found.metrics["x"] in (seconds, None)
    assert Row.from_json(Row(trial="a", number=1, overrides={"a": value}, status="done").to_json()).overrides == {
        "a": value
    }


def test_the_last_line_of_a_trial_counts(tmp_path: Path) -> None:
    with Table.open(tmp_path, writing=True) as table:
        for written in (row(2), row(0), row(1), row(0, "done", metrics={"agreement": 0.9}), row(2, "failed")):
            table.append(written)
        assert [(r.number, r.status) for r in table.rows().values()] == [(0, "done"), (1, "running"), (2, "failed")]
    assert Table.open(tmp_path).rows() == table.rows()
    assert table.notes() == ()


def test_a_table_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Table.open(tmp_path / "none").rows() == {}
    assert not (tmp_path / "none").exists(), "reading makes nothing"


def test_readers_come_any_time(tmp_path: Path) -> None:
    reader = Table.open(tmp_path)
    with Table.open(tmp_path, writing=True) as table:
        for number in range(3):
            table.append(row(number))
            assert len(reader.rows()) == number + 1


def test_a_torn_line_is_passed_over_and_the_next_begins_anew(tmp_path: Path) -> None:
    with Table.open(tmp_path, writing=True) as table:
        table.append(row(0, "done"))
        table.append(row(1, "done"))
    whole = (tmp_path / TABLE).read_bytes()
    first = whole.index(b"\n") + 1
    for cut in (first + 1, first + 2, first + 17, (first + len(whole)) // 2, len(whole) - 3, len(whole) - 2):
        (tmp_path / TABLE).write_bytes(whole[:cut])
        with Table.open(tmp_path, writing=True) as table:
            assert list(table.rows().values()) == [row(0, "done")]
            assert table.damaged == (2,)
            table.append(row(2))
            assert [r.number for r in table.rows().values()] == [0, 2]
            assert "1 line is damaged and passed over (line 2)" in table.notes()[0]


def test_a_whole_line_without_its_end_counts(tmp_path: Path) -> None:
    with Table.open(tmp_path, writing=True) as table:
        table.append(row(0, "done"))
    file = tmp_path / TABLE
    file.write_bytes(file.read_bytes()[:-1])
    with Table.open(tmp_path, writing=True) as table:
        table.append(row(1))
        assert [r.number for r in table.rows().values()] == [0, 1]
        assert table.damaged == ()


@pytest.mark.parametrize(
    "damage", [b"\x00" * 40, b'{"trial": "x"}', b"[1, 2]", b"nonsense", b'{"trial":1,"number":"x"}', b"\xff\xfe"]
)
def test_damage_in_the_middle_costs_one_line(damage: bytes, tmp_path: Path) -> None:
    lines = [row(number, "done").to_json().encode() for number in range(3)]
    (tmp_path / TABLE).write_bytes(b"\n".join([lines[0], damage, lines[1], b"", lines[2]]) + b"\n")
    table = Table.open(tmp_path)
    assert [r.number for r in table.rows().values()] == [0, 1, 2]
    assert table.damaged == (2,)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_flipped_byte_costs_at_most_two_lines_and_never_the_table(place: int, byte: int, tmp_path: Path) -> None:
    """Two, where it was the end between them. (A digit that becomes another digit is not noticed.)"""
    content = bytearray(b"".join(row(number, "done").to_json().encode() + b"\n" for number in range(5)))
    content[place % len(content)] = byte
    (tmp_path / TABLE).write_bytes(bytes(content))
    assert len({r.number for r in Table.open(tmp_path).rows().values()}) >= 3


def test_fields_of_a_newer_program_are_left_out() -> None:
    assert Row.from_json(json.dumps({**json.loads(row().to_json()), "mood": "good"})) == row()


# ---- one driver


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with Table.open(tmp_path, writing=True):
        with pytest.raises(BadEnvironment, match=rf"another driver \(process {os.getpid()} on .*\) is at work"):
            Table.open(tmp_path, writing=True)
        Table.open(tmp_path).rows()
    Table.open(tmp_path, writing=True).close()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        wait_for_lines(tmp_path, 1)
        with pytest.raises(BadEnvironment, match=f"process {process.pid} on"):
            Table.open(tmp_path, writing=True)
        process.kill()
        process.wait()
    Table.open(tmp_path, writing=True).close()


def test_a_filesystem_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Table.open(tmp_path, writing=True) as table:
        table.append(row())
        assert "this filesystem has no locks" in table.notes()[0]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadEnvironment):
        Table.open(tmp_path / "file" / "table", writing=True)


# ---- kills and full disks

WRITER = """
import sys
from w2s.search.table import Row, Table
table = Table.open(sys.argv[1], writing=True)
number = max((r.number for r in table.rows().values()), default=-1)
while True:
    number += 1
    note = "x" * (number % 7) * 3000
    table.append(Row(str(number), number, {"method.alpha": number / 8}, "done", metrics={"note": note}))
    print(number, flush=True)
"""


class writer(subprocess.Popen[str]):
    """A process that appends rows and says the number of each once it is written."""

    def __init__(self, folder: Path, code: str = WRITER) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        super().__init__(
            [sys.executable, "-c", code, str(folder)], env=environment, stdout=pipe, stderr=pipe, text=True
        )


def wait_for_lines(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        file = folder / TABLE
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the writer wrote nothing")


def test_a_writer_killed_at_random_loses_no_whole_line(tmp_path: Path) -> None:
    """What a writer said is written is there, after eight kills; what is there has no gap, and goes on where it was."""
    chance = random.Random(5)
    said: list[int] = []
    for _ in range(8):
        lines = len(Table.open(tmp_path).rows())
        with writer(tmp_path) as process:
            wait_for_lines(tmp_path, lines + 4)
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, err
        said += [int(text) for text in out.split("\n")[:-1]]
        rows = Table.open(tmp_path).rows()
        numbers = [r.number for r in rows.values()]
        assert set(said) <= set(numbers)
        assert numbers == list(range(len(numbers)))
        assert all(len(str(r.metrics["note"])) == r.number % 7 * 3000 for r in rows.values())
    assert len(said) > 20


FULL = WRITER.replace("import sys", "import resource, signal, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))\n"
                      "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)", 1)  # fmt: skip


def test_a_full_disk_is_told_and_the_table_goes_on(tmp_path: Path) -> None:
    with writer(tmp_path, FULL) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "BadEnvironment" in err
    assert "no room to write" in err
    before = Table.open(tmp_path)
    said = [int(text) for text in out.split()]
    assert [r.number for r in before.rows().values()] == said
    assert len(before.damaged) == 1, "the line that did not fit"
    with Table.open(tmp_path, writing=True) as table:
        table.append(row(99))
        assert [r.number for r in table.rows().values()] == [*said, 99]
