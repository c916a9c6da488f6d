"""Orders at a Slurm that answers as a test says: what a real one does not show when it is wanted."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadEnvironment, BadInput
from cluster.submit import slurm, slurm_ask
from cluster.submit.order import Command, Order, Placed
from cluster.submit.site import Site

PLAYER = """#!{python} -SE
import json, os, sys, time
folder = {folder!r}
name = os.path.basename(sys.argv[0])
with open(folder + "/calls.jsonl", "a+") as calls:
    calls.seek(0)
    turn = sum(json.loads(line)["argv"][0] == name for line in calls)
    calls.write(json.dumps({{"argv": [name, *sys.argv[1:]], "env": dict(os.environ)}}) + "\\n")
answers = json.load(open(folder + "/" + name + ".json"))
code, out, err, wait_s = answers[min(turn, len(answers) - 1)]
time.sleep(wait_s)
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
FORGOTTEN = (1, "", "slurm_load_jobs error: Invalid job id specified\n", 0)
NO_BOOKS = (1, "", "Slurm accounting storage is disabled\n", 0)
DOWN = (1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 0)
LATE = (1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", 0)
NOW = 1_800_000_000


@dataclass
class Fake:
    """Slurm's commands in a folder of their own, which is all of PATH. Each plays its answers; the last one again and again."""

    folder: Path

    def say(self, command: str, *answers: tuple[int, str, str, float]) -> None:
        player = self.folder / command
        player.write_text(PLAYER.format(python=sys.executable, folder=str(self.folder)))
        player.chmod(0o755)
        (self.folder / f"{command}.json").write_text(json.dumps(answers))

    @property
    def calls(self) -> list[dict[str, Any]]:
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def argv(self, command: str) -> list[list[str]]:
        return [call["argv"] for call in self.calls if call["argv"][0] == command]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(slurm_ask, "PAUSES_S", (0.0, 0.0))
    return Fake(folder)


@pytest.fixture
def order(tmp_path: Path) -> Callable[[int], Order]:
    def made(elements: int = 1) -> Order:
        folder = tmp_path / "jobs" / "toy.1"
        folder.mkdir(parents=True)
        return Order(
            "toy.1", "slurm", str(folder), str(tmp_path), "toy", ((Command("toy", ("-m", "w2s")),),) * elements
        )

    return made


PLACED = Placed("toy.1", "77", "", "me", "login", NOW)


def row(
    state: str, *, element: str = "N/A", nodes: str = "", start: str = "N/A", end: str = "N/A", left: str = "5:00",
    restarts: int = 0, code: int = 0, reason: str = "None", name: str = "toy.1",
) -> tuple[int, str, str, float]:  # fmt: skip
    return 0, f"{name}|{element}|{state}|{nodes}|{start}|{end}|{left}|{restarts}|{code}|{reason}|\n", "", 0


def attempts(order: Order, *records: dict[str, Any], element: int = 0, rest: str = "") -> None:
    file = Path(order.folder) / str(element) / "attempts.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps(record) + "\n" for record in records) + rest)


# ---- handing over


def test_an_order_is_placed(fake: Fake, order: Callable[[], Order], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "elsewhere")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    fake.say("sbatch", (0, "1234;west\n", "", 0))
    mine = order()
    placed = slurm.submit(mine, Site())
    script = Path(mine.folder) / "run.sbatch"
    assert (placed.id, placed.handle, placed.where) == ("toy.1", "1234", "west")
    assert abs(placed.time - time.time()) < 60
    assert fake.argv("sbatch") == [["sbatch", "--parsable", str(script)]]
    assert script.stat().st_mode & 0o777 == 0o600
    assert (Path(mine.folder) / "out").is_dir()
    assert f"exec {sys.executable} -u -m cluster.submit.chief {mine.folder}" in script.read_text()
    env = fake.calls[0]["env"]
    assert [name for name in env if name.startswith(("SBATCH_", "SLURM_"))] == ["SLURM_CONF", "SLURM_TIME_FORMAT"]


REFUSALS = {
    "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified":
        ("Slurm refuses the job: Invalid partition name specified", "sinfo -s"),
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified":
        ("Invalid account", "site file"),
    "sbatch: error: Batch job submission failed: Requested node configuration is not available": ("node configuration", "sinfo -N"),
    "sbatch: error: Batch job submission failed: Invalid job array specification": ("array", "--pack"),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refusal_says_what_to_change(fake: Fake, order: Callable[[], Order], words: str) -> None:
    fake.say("sbatch", (1, "", words + "\n", 0))
    what, remedy = REFUSALS[words]
    with pytest.raises(BadInput) as refused:
        slurm.submit(order(), Site())
    assert what in refused.value.what
    assert remedy in refused.value.remedy
    assert len(fake.argv("sbatch")) == 1


def test_what_slurm_took_without_an_answer_is_not_placed_twice(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("sbatch", LATE)
    fake.say("squeue", (0, "81\n81\n", "", 0))
    assert slurm.submit(order(), Site()).handle == "81"
    assert len(fake.argv("sbatch")) == 1
    assert "--name=toy.1" in fake.argv("squeue")[0]


@pytest.mark.parametrize("queue", [(0, "", "", 0), DOWN, (0, "81\n82\n", "", 0)], ids=["not there", "down", "two"])
def test_no_answer_is_told(fake: Fake, order: Callable[[], Order], queue: tuple[int, str, str, float]) -> None:
    fake.say("sbatch", LATE)
    fake.say("squeue", queue)
    with pytest.raises(BadEnvironment, match=r"Socket timed out.*scontrol ping"):
        slurm.submit(order(), Site())
    assert len(fake.argv("sbatch")) == 1


def test_without_slurm(fake: Fake, order: Callable[[], Order]) -> None:
    with pytest.raises(BadEnvironment, match="there is no Slurm here"):
        slurm.submit(order(), Site())


def test_without_a_configuration(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say(
        "sbatch",
        (
            1,
            "",
            "sbatch: error: fetch_config: DNS SRV lookup failed\nsbatch: fatal: Could not establish a configuration source",
            0,
        ),
    )
    with pytest.raises(BadEnvironment, match="no part of a Slurm cluster"):
        slurm.submit(order(), Site())


def test_garbage_for_a_number(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("sbatch", (0, "welcome to the cluster!\n", "", 0))
    with pytest.raises(BadEnvironment, match="no job's number"):
        slurm.submit(order(), Site())


def test_what_slurm_would_do(fake: Fake) -> None:
    fake.say(
        "sbatch",
        (0, "", "sbatch: Job 2 to start at 2026-11-21T23:12:01 using 1 processors on nodes w1 in partition low\n", 0),
    )
    assert slurm.test_only("#!/bin/bash\n").startswith("Slurm would take it, to start at 2026-11-21T23:12:01 using")
    assert "SLURM_TIME_FORMAT" not in fake.calls[0]["env"]
    fake.say("sbatch", (1, "", "allocation failure: Requested node configuration is not available\n", 0))
    with pytest.raises(BadInput, match="node configuration is not available"):
        slurm.test_only("#!/bin/bash\n")


# ---- looking


def test_running(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("RUNNING", nodes="w[1-2]", start=str(NOW), end=str(NOW + 900), left="14:00", restarts=2))
    (live,) = slurm.look(order(), PLACED)
    assert (live.state, live.told, live.nodes, live.restarts) == ("running", "RUNNING", ("w1", "w2"), 2)
    assert (live.started, live.ended, live.time_left_s, live.exit_code, live.why) == (NOW, None, 840, None, "")
    assert "--jobs=77" in fake.argv("squeue")[0]


def test_pending_says_why_and_when(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("PENDING", start=str(NOW), reason="ReqNodeNotAvail, UnavailableNodes:w|3"))
    (live,) = slurm.look(order(), PLACED)
    assert live.state == "pending"
    assert live.why.startswith("ReqNodeNotAvail, UnavailableNodes:w|3: nodes it needs are down")
    assert "expected to start at" in live.why
    assert live.started is live.time_left_s is None


def test_elements_each_where_they_are(fake: Fake, order: Callable[[int], Order]) -> None:
    waits, runs, failed = row("PENDING", element="2"), row("RUNNING", element="0"), row("FAILED", element="1", code=256)
    fake.say("squeue", (0, "garbage\n|||\n" + waits[1] + runs[1] + failed[1], "", 0))
    lives = slurm.look(order(3), PLACED)
    found = [(live.element, live.state, live.exit_code) for live in lives]
    assert found == [(0, "running", None), (1, "failed", 1), (2, "pending", None)]


def test_what_left_the_queue_is_in_the_books(fake: Fake, order: Callable[[int], Order]) -> None:
    fake.say("squeue", FORGOTTEN)
    books = f"toy.1|77_0|COMPLETED|w[1-2]|{NOW}|{NOW + 60}|0:0\ntoy.1|77_1|CANCELLED by 1000|w3|{NOW}|{NOW + 5}|0:15\n"
    fake.say("sacct", (0, books, "", 0))
    done, cancelled = slurm.look(order(2), PLACED)
    assert (done.state, done.exit_code, done.nodes, done.started, done.ended) == (
        "done",
        0,
        ("w1", "w2"),
        NOW,
        NOW + 60,
    )
    assert (cancelled.state, cancelled.told, cancelled.why) == ("cancelled", "CANCELLED", "CANCELLED by 1000")


def test_the_books_are_not_opened_for_what_is_in_the_queue(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("COMPLETED", nodes="w1", start=str(NOW), end=str(NOW + 9)))
    fake.say("sacct", NO_BOOKS)
    assert slurm.look(order(), PLACED)[0].state == "done"
    assert not fake.argv("sacct")


def test_without_books_the_element_has_the_last_word(fake: Fake, order: Callable[[int], Order]) -> None:
    fake.say("squeue", FORGOTTEN)
    fake.say("sacct", NO_BOOKS)
    mine = order(3)
    begun = {"what": "begun", "time": NOW, "nodes": ["w1", "w2"], "exit_code": None}
    attempts(mine, begun, {"what": "ended", "time": NOW + 9, "exit_code": 1, "detail": "two stages failed"}, element=0)
    attempts(mine, begun, begun, {"what": "ended", "time": NOW + 9, "exit_code": 0}, element=1, rest='{"what": "en')
    attempts(mine, begun, element=2)
    failed, done, lost = slurm.look(mine, PLACED)
    assert (failed.state, failed.exit_code, failed.why, failed.ended) == ("failed", 1, "two stages failed", NOW + 9)
    assert (done.state, done.exit_code, done.restarts, done.nodes) == ("done", 0, 1, ("w1", "w2"))
    assert (lost.state, lost.started) == ("unknown", NOW)
    assert "does not know this job any more" in lost.why


def test_a_number_that_came_again_is_somebody_elses(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("RUNNING", name="theirs"))
    fake.say("sacct", (0, f"theirs|77|COMPLETED|w1|{NOW}|{NOW}|0:0\n", "", 0))
    assert slurm.look(order(), PLACED)[0].state == "unknown"


def test_a_moment_of_silence_is_waited_out(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", DOWN, DOWN, row("RUNNING", nodes="w1"))
    assert slurm.look(order(), PLACED)[0].state == "running"


def test_a_silent_slurm_is_unknown_and_says_so(
    fake: Fake, order: Callable[[], Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "SACCT_TIMEOUT_S", 0.2)
    fake.say("squeue", DOWN)
    fake.say("sacct", (0, "", "", 30))
    (live,) = slurm.look(order(), PLACED)
    assert live.state == "unknown"
    assert "Unable to contact slurm controller" in live.why
    assert "scontrol ping" in live.why
    assert len(fake.argv("squeue")) == 3


def test_slow_books_do_not_hold_up_a_look(
    fake: Fake, order: Callable[[], Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "SACCT_TIMEOUT_S", 0.2)
    fake.say("squeue", FORGOTTEN)
    fake.say("sacct", (0, "", "", 30))
    began = time.monotonic()
    assert "no answer from Slurm within" in slurm.look(order(), PLACED)[0].why
    assert time.monotonic() - began < 15


def test_away_from_the_cluster_it_is_unknown(fake: Fake, order: Callable[[], Order]) -> None:
    (live,) = slurm.look(order(), PLACED)
    assert live.state == "unknown"
    assert "there is no Slurm here" in live.why


def test_a_squeue_of_another_kind_is_told(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", (1, "", "Invalid job format specification: exit_code\n", 0))
    fake.say("sacct", NO_BOOKS)
    assert "Invalid job format" in slurm.look(order(), PLACED)[0].why


def test_what_was_cancelled_while_it_waited_has_no_elements_any_more(fake: Fake, order: Callable[[int], Order]) -> None:
    """So Slurm 22.05 shows an array after `scancel --user`."""
    fake.say("squeue", (0, row("CANCELLED")[1] + row("RUNNING", element="0", nodes="w1")[1], "", 0))
    assert [live.state for live in slurm.look(order(3), PLACED)] == ["running", "cancelled", "cancelled"]


# ---- cancelling


def test_cancel(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("RUNNING"))
    fake.say("scancel", (0, "", "", 0))
    slurm.cancel(order(), Placed("toy.1", "77", "west", "me", "login", NOW))
    assert fake.argv("scancel") == [["scancel", "--clusters=west", "77"]]
    assert "--clusters=west" in fake.argv("squeue")[0]


OVER = {"forgotten": FORGOTTEN, "over": row("COMPLETED"), "another's": row("RUNNING", name="theirs")}


@pytest.mark.parametrize("queue", OVER)
def test_nothing_is_cancelled_that_is_over_or_not_ours(fake: Fake, order: Callable[[], Order], queue: str) -> None:
    fake.say("squeue", OVER[queue])
    fake.say("scancel", (0, "", "", 0))
    slurm.cancel(order(), PLACED)
    assert not fake.argv("scancel")


def test_what_ends_at_that_moment_is_cancelled_enough(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("RUNNING"))
    fake.say("scancel", (1, "", "scancel: error: Kill job error on job id 77: Invalid job id specified\n", 0))
    slurm.cancel(order(), PLACED)


def test_anothers_job_is_not_cancelled(fake: Fake, order: Callable[[], Order]) -> None:
    fake.say("squeue", row("RUNNING"))
    fake.say("scancel", (1, "", "scancel: error: Kill job error on job id 77: Access/permission denied\n", 0))
    with pytest.raises(BadInput, match=r"permission denied.*me's"):
        slurm.cancel(order(), PLACED)


@pytest.mark.parametrize("handle", ["--user=me", "", "77 78", "7" * 30])
def test_a_damaged_record_cancels_nothing(fake: Fake, order: Callable[[], Order], handle: str) -> None:
    fake.say("scancel", (0, "", "", 0))
    damaged = Placed("toy.1", handle, "", "me", "login", NOW)
    mine = order()
    for call in (slurm.cancel, slurm.look):
        with pytest.raises(BadInput, match="no Slurm job's number"):
            call(mine, damaged)
    assert not fake.calls
