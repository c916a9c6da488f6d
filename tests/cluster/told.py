"""A made-up run for a terminal, as a program: `python -m tests.cluster.told HOW`. No work is done, only events are told."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cluster.display import Display
from cluster.errors import StageFailed
from cluster.events import Event
from cluster.screen import aside, screen
from tests.cluster.targets import graph, job

TRAIN = job("toy/train tiny-gpt2 on strong (tiny-bert labels, confidence) s0")
GRADE = job("toy/grade predict test by tiny-gpt2 on strong s0")


class Faulty(Display):
    """Cannot draw what runs."""

    def _picture(self):
        if self.running:
            raise ZeroDivisionError("no such picture")
        return super()._picture()


class Work:
    """Stands in for a scheduler: saving takes it a second."""

    def __init__(self) -> None:
        self.asked = False

    def stop(self) -> None:
        self.asked = True

    def run(self) -> None:
        while not self.asked:
            time.sleep(0.02)
        time.sleep(1.0)


def halt(display: Display) -> None:
    """Work until asked to stop."""
    from w2s.commands.at_work import signals

    work = Work()
    with signals(work, display):  # type: ignore[arg-type]
        display.doing_now = "at work"
        work.run()
    display(Event("stopped", TRAIN.key))


def main(how: str, log: Path) -> None:
    kind = Faulty if how == "faulty" else Display
    display = kind(graph(TRAIN, GRADE), screen())
    with aside(log), display:
        print("a library's greeting")
        print("a library's warning", file=sys.stderr)
        display(Event("planned", data={"total": 2, "cached": 0}))
        display(Event("started", TRAIN.key, {"host": "node-17", "device": "cpu"}))
        for step in range(1, 25):
            display(Event("progress", TRAIN.key, {"done": step, "total": 30, "unit": "step"}))
            display(Event("scalar", TRAIN.key, {"name": "train/loss", "value": 1 / step, "step": step}))
            time.sleep(0.05)
        if how == "halting":
            halt(display)
        elif how == "failing":
            error = StageFailed(TRAIN.name, "loss nan at step 31", "lower optim.lr").record()
            tail = ["Traceback", "\x1b[31mRuntimeError: x\r\x1b[2J"]
            display(Event("failed", TRAIN.key, {"error": error, "tail": tail, "log": "/store/logs/a.log"}))
            display(Event("skipped", GRADE.key, {"needs": TRAIN.name}))
        else:
            display(Event("done", TRAIN.key, {"seconds": 83.0, "metrics": {"val_agreement": 0.71}}))
        time.sleep(0.3)
    print("THE END")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
