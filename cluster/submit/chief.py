"""The chief of a Slurm job: `python -m cluster.submit.chief FOLDER`, what the batch script of an order becomes.

It brings up Ray on the job's nodes, runs the element's commands against it, and ends with their exit code. Told that the
end is near (SIGUSR1), it has the drivers save, puts the job back into the queue and waits to be ended: a batch script
that ends by itself has done its work as far as Slurm is concerned, and is not run again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster import disk
from cluster.errors import EXIT_AGAIN, EXIT_OK, EXIT_STAGE, BadEnvironment, BadInput, Problem
from cluster.submit import scontrol
from cluster.submit.allocation import Allocation, allocation
from cluster.submit.attempts import Attempts
from cluster.submit.drivers import Drivers
from cluster.submit.order import Order
from cluster.submit.ray_cluster import RayCluster, ended_early
from cluster.submit.site import Site
from cluster.submit.steps import Step

TURN_S = 0.2
STOP_S = 15.0  # what ending the nodes may take: Ray ends, logs are copied
SPARE_S = 5.0  # of a notice's time, what is kept for going back to the queue
KILLED_S = 600.0  # Slurm ends a job it has put back within seconds, or after an epilog
CANCELLED = 128 + signal.SIGTERM


def main(words: Sequence[str]) -> int:
    """Run one attempt of an element. Returns the exit code: the drivers', or our own as `cluster.errors` has them."""
    with signals() as told:
        try:
            if len(words) != 1:
                raise BadInput("chief", "takes one argument, the order's folder")
            folder = Path(words[0])
            order, site = read(folder)
            given = allocation(os.environ)
            if given.element >= len(order.elements):
                raise BadInput(f"order {order.id}", f"has no element {given.element}")
            home = folder / str(given.element)
            with disk.told("order", str(home)):
                home.mkdir(mode=0o700, exist_ok=True)
            attempts = Attempts(home, given.slurm_job, given.nodes, len(order.elements[given.element]))
            return Chief(order, site, given, attempts, told).run()
        except Problem as problem:
            say(str(problem))
            return problem.exit_code


def read(folder: Path) -> tuple[Order, Site]:
    """What was submitted. Raises BadInput."""
    try:
        order = Order.from_json((folder / "order.json").read_text(encoding="utf-8"))
        written: dict[str, Any] = json.loads((folder / "site.json").read_text(encoding="utf-8"))
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in written.items()
        }
        return order, Site(**fields)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(str(folder), f"is no order's folder: {error}", "submit it again") from None


@contextmanager
def signals() -> Iterator[list[signal.Signals]]:
    """The notices that have come, in order; they do nothing else."""
    told: list[signal.Signals] = []
    heeded = (signal.SIGUSR1, signal.SIGTERM)
    before = {number: signal.signal(number, lambda got, frame: told.append(signal.Signals(got))) for number in heeded}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Chief:
    """One attempt of one element."""

    def __init__(
        self, order: Order, site: Site, given: Allocation, attempts: Attempts, told: list[signal.Signals]
    ) -> None:
        self._order, self._site, self._given, self._attempts, self._told = order, site, given, attempts, told
        self._cluster = RayCluster(given, site, attempts.folder)
        self._drivers = Drivers(order, given.element)
        self._over = False

    def run(self) -> int:
        """The whole attempt. Returns the exit code of the job."""
        self._attempts.tell("begun")
        say(f"attempt {self._attempts.number} of {self._order.id}, element {self._given.element}, on {self._nodes}")
        try:
            code = self._worth_trying() or self._work()
        except Problem as problem:
            say(str(problem))
            self._ended(problem.exit_code, problem.what.partition("\n")[0])
            return problem.exit_code
        finally:
            self._drivers.end()
            self._cluster.end(STOP_S)
        self._ended(code)
        return code

    def _ended(self, code: int, detail: str = "") -> None:
        """The last line of the attempt's journal, once."""
        if not self._over:
            self._attempts.tell("ended", detail, exit_code=code)
        self._over = True

    @property
    def _nodes(self) -> str:
        return ", ".join(self._given.nodes)

    def _work(self) -> int:
        address = self._cluster.start(lambda: bool(self._told))
        if address is not None:
            self._attempts.tell("up", self._cluster.totals(), address=address)
            say(f"Ray is up at {address}: {self._cluster.totals()}")
            self._drivers.start(address, self._cluster.environment)
            while self._drivers.running and not self._told and not self._cluster.lost():
                time.sleep(TURN_S)
        if not self._drivers.begun or self._drivers.running:
            return self._interrupted(self._cluster.lost())
        code = self._drivers.exit_code
        if code == EXIT_OK:
            return code
        if code == EXIT_AGAIN:
            self._attempts.tell("saved", "the drivers asked to be run again")
            return self._go_on_later()
        lost = self._cluster.silent()  # they may have failed because a node is gone, and know it before Slurm does
        return self._interrupted(lost) if self._told or lost else code

    # ---- the end is near

    def _interrupted(self, lost: Step | None) -> int:
        """Slurm has told us something, or a node is lost. Which of the many ends it is, Slurm knows."""
        if lost is not None and lost.last("ended") and not self._told:
            self._save(time.monotonic() + self._site.grace_s)
            raise ended_early(lost)
        now = scontrol.job_now(self._given.job)
        if signal.SIGUSR1 not in self._told and not now.goes_on:  # cancelled, or Slurm itself puts it back
            say(f"Slurm ends the job ({now.state})")
            self._ended(CANCELLED, now.state)  # now: Slurm may leave no time for it later
            self._drivers.send(signal.SIGTERM)
            self._wait_for_drivers(time.monotonic() + SPARE_S)
            return CANCELLED
        why = _why(self._told, lost)
        self._attempts.tell("notice", why)
        say(f"{why}: what runs saves where it is")
        grace_s = self._site.grace_s if now.ends is None else min(self._site.grace_s, now.ends - time.time())
        saved = self._save(time.monotonic() + max(0.0, grace_s - SPARE_S))
        code = self._drivers.exit_code
        # done in the meantime, or failed; but what fails when a node is lost may well fail of that
        if saved and self._drivers.begun and code != EXIT_AGAIN and (code == EXIT_OK or lost is None):
            return code
        self._attempts.tell("saved", "" if saved else "the drivers did not end in time: the last checkpoint counts")
        return self._go_on_later()

    def _save(self, deadline: float) -> bool:
        """Have the drivers save and leave; whether they did so in time."""
        self._drivers.send(signal.SIGUSR1)
        return self._wait_for_drivers(deadline)

    def _wait_for_drivers(self, deadline: float) -> bool:
        """Until the drivers have ended; False when that takes too long, or Slurm ends the job before."""
        asked = self._told.count(signal.SIGTERM)
        while self._drivers.running:
            ending = self._told.count(signal.SIGTERM) > asked and not scontrol.job_now(self._given.job).goes_on
            if ending or time.monotonic() > deadline:
                return False
            asked = self._told.count(signal.SIGTERM)
            time.sleep(TURN_S)
        return True

    # ---- once more

    def _worth_trying(self) -> int:
        """0, or the exit code with which to give up before anything has begun: nodes may fail for ever as well."""
        if self._given.restarts > self._site.requeues:
            return self._give_up(self._spent)
        return self._give_up(FUTILE) if self._attempts.futile() else 0

    @property
    def _spent(self) -> str:
        return f"has gone back to the queue {self._given.restarts} times, and {self._site.requeues} are allowed (`requeues`)"

    def _give_up(self, why: str) -> int:
        say(f"order {self._order.id}, element {self._given.element}: {why}; {self._by_hand} goes on")
        return EXIT_STAGE

    @property
    def _by_hand(self) -> str:
        element = f"--array={self._given.element} " if self._order.is_array else ""
        return f"`sbatch {element}{self._order.folder}/run.sbatch`"

    def _go_on_later(self) -> int:
        """Back into the queue, and wait to be ended by Slurm. Returns when that is refused, or of no use."""
        if self._given.restarts >= self._site.requeues:
            return self._give_up(self._spent)
        if self._attempts.futile():
            return self._give_up(FUTILE)
        self._drivers.end()
        self._cluster.end(SPARE_S)
        now = scontrol.job_now(self._given.job)
        if now.state not in ("RUNNING", "UNKNOWN"):  # cancelled in the meantime: it would come back to life
            self._ended(CANCELLED, now.state)
            return CANCELLED
        self._told.clear()
        self._attempts.tell("requeue")
        say("back into the queue")
        try:
            scontrol.requeue(self._given.job)
        except BadEnvironment as problem:
            say(f"the job cannot go back into the queue: {problem}; {self._by_hand} goes on")
            return EXIT_AGAIN
        self._over = True
        deadline = time.monotonic() + KILLED_S
        while signal.SIGTERM not in self._told and time.monotonic() < deadline:
            time.sleep(TURN_S)
        return EXIT_AGAIN


FUTILE = "two attempts in a row got no farther; what the last one printed should tell why"


def _why(told: Sequence[signal.Signals], lost: Step | None) -> str:
    if signal.SIGUSR1 in told:
        return "Slurm's notice (SIGUSR1)"
    if lost is not None and not lost.last("told"):
        return f"node {lost.node} is lost"
    return "Slurm's notice (SIGTERM)"


def say(text: str) -> None:
    """A line in the job's output."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} w2s: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
