"""The Ray cluster of one attempt: a step for each node of the job, up when every node has been counted."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.disk import told
from cluster.errors import BadEnvironment
from cluster.submit import ray_start, steps
from cluster.submit.allocation import Allocation
from cluster.submit.site import Site
from cluster.submit.steps import Step, srun_argv

TURN_S = 0.2
TRIES = 3
PAUSE_S = 2.0
ANSWER_S = 10.0


class RayCluster:
    """Its steps, from `start` to `end`. `folder` is the attempt's own: the token and the logs are in it."""

    def __init__(self, allocation: Allocation, site: Site, folder: Path) -> None:
        self._allocation, self._site, self._folder = allocation, site, folder
        self._steps: list[Step] = []
        self.environment = ray_start.environment(folder / "token", os.environ)
        """What a driver needs in order to be let in."""

    def start(self, interrupted: Callable[[], bool]) -> str | None:
        """Bring all nodes up; the address, or None when interrupted before that.

        Raises BadEnvironment with the end of its log when a node ends early, and with the names of those that are
        missing when the site's `up_timeout_s` is over.
        """
        self._prepare()
        deadline = time.monotonic() + self._site.up_timeout_s
        if not self._bring_up([0], None, deadline, interrupted):
            return None
        address = str((self._steps[0].up or {})["address"])
        others = range(1, len(self._allocation.nodes))
        return address if self._bring_up(others, address, deadline, interrupted) else None

    def totals(self) -> str:
        """`2 nodes, 4 CPUs and 0 GPUs`, and what the nodes had to remark."""
        ups = [step.up or {} for step in self._steps]
        nodes = f"{len(ups)} node{'s' if len(ups) > 1 else ''}"
        notes = {f"; {words['text']}" for step in self._steps if (words := step.last("note"))}
        counts = f"{sum(up.get('cpus', 0) for up in ups)} CPUs and {sum(up.get('gpus', 0) for up in ups)} GPUs"
        return f"{nodes}, {counts}" + "".join(sorted(notes))

    def lost(self) -> Step | None:
        """A step that has ended, if one has."""
        return next((step for step in self._steps if step.code is not None), None)

    def silent(self, timeout_s: float = ANSWER_S) -> Step | None:
        """A step that has ended or does not answer, if there is one: Slurm takes minutes to tell that a node is gone."""
        asked = {step: step.count("here") for step in self._steps}
        for step in asked:
            step.ask()
        deadline = time.monotonic() + timeout_s
        while waiting := [step for step, before in asked.items() if step.count("here") <= before]:
            if (lost := self.lost()) is not None:
                return lost
            if time.monotonic() > deadline:
                return waiting[0]
            time.sleep(TURN_S)
        return None

    def end(self, patience_s: float) -> None:
        """End all steps; the nodes copy their logs first, if that takes no longer than `patience_s`."""
        steps.end(self._steps, patience_s)
        (self._folder / "token").unlink(missing_ok=True)  # it opens nothing any more

    def _prepare(self) -> None:
        with told("attempt", str(self._folder)):
            for folder in (self._folder, self._folder / "nodes"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self._folder / "token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))

    def _begin(self, number: int, address: str | None) -> Step:
        given, site = self._allocation, self._site
        name = given.nodes[number]
        peer = address.rpartition(":")[0] if address else given.hosts[-1] if len(given.nodes) > 1 else None
        words = ["--head"] if address is None else ["--address", address]
        words += ["--name", name, "--host", given.hosts[number], "--salt", f"{given.slurm_job}.{given.restarts}"]
        words += ["--ports", *map(str, site.ports), "--scratch", site.node_scratch, "--attempt", str(self._folder)]
        words += ["--interface", site.interface] if site.interface else []
        words += ["--peer", peer] if peer else []
        command = [sys.executable, "-m", "cluster.submit.ray_node", *words]
        log = self._folder / "nodes" / f"{name}.log"
        return Step(name, srun_argv(name, given.cpus[number], command), self.environment, log)

    def _bring_up(
        self, numbers: Sequence[int], address: str | None, deadline: float, interrupted: Callable[[], bool]
    ) -> bool:
        """Begin the steps of some nodes and wait until all are up; False when interrupted. Raises BadEnvironment."""
        self._steps += [self._begin(number, address) for number in numbers]
        again = TRIES - 1
        while missing := [step for step in self._steps if step.up is None]:
            if interrupted():
                return False
            stillborn = [number for number in numbers if self._steps[number].never_began]
            if (
                stillborn and again and time.monotonic() < deadline
            ):  # a node that has just come back refuses a step or two
                again -= 1
                time.sleep(PAUSE_S)
                for number in stillborn:
                    self._steps[number] = self._begin(number, address)
            elif (lost := self.lost()) is not None:
                if lost.last("told"):  # ended by Slurm, which tells us why
                    return False
                raise ended_early(lost)
            elif time.monotonic() > deadline:
                raise self._not_up(missing)
            time.sleep(TURN_S)
        return True

    def _not_up(self, missing: Sequence[Step]) -> BadEnvironment:
        names = ", ".join(step.node for step in missing)
        what = f"{names} did not come up within {self._site.up_timeout_s} s (`up_timeout_s` in the site file); last words:\n"
        what += "\n".join(step.last_words() for step in missing)
        return BadEnvironment(f"Ray on {len(missing)} of {len(self._allocation.nodes)} nodes", what)


def ended_early(step: Step) -> BadEnvironment:
    """A node of the cluster that ended of itself, with its own words for it."""
    said = (step.last("ended") or {}).get("problem") or {
        "where": f"Ray on {step.node}", "what": f"ended with exit code {step.code}", "remedy": "",
    }  # fmt: skip
    why = f"{said['what']}; {said['remedy']}" if said["remedy"] else said["what"]
    return BadEnvironment(str(said["where"]), f"{why}; last words:\n{step.last_words()}\n", f"all of them: {step.log}")
