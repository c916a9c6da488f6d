"""What Tune sees of a trial: an actor without resources that asks our desk for one report after another.

The work itself is jobs of our own scheduler, where trials share what they have in common. Nothing here is worth keeping:
Tune's checkpoints hold the number of a rung, and for a population the values so far.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune

OVER = "the search is over"


class Desk:
    """The actor between Tune's trials and the driver: trials wait here for their answers, the driver fetches what is asked."""

    def __init__(self) -> None:
        self._new: list[dict[str, Any]] = []
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._closed = False

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """For a trial: wait for one report."""
        if self._closed:
            return {"over": True}
        answer = asyncio.get_running_loop().create_future()
        self._waiting[request["id"]] = answer
        self._new.append(request)
        reply: dict[str, Any] = await answer
        return reply

    async def take(self) -> list[dict[str, Any]]:
        """For the driver: what has been asked since the last call."""
        new, self._new = self._new, []
        return new

    async def answer(self, replies: list[dict[str, Any]]) -> None:
        """For the driver."""
        for reply in replies:
            waiting = self._waiting.pop(reply["id"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)

    async def close(self) -> None:
        """Send everybody home."""
        self._closed = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({"over": True})


class Proxy(tune.Trainable):
    """One trial, or one member of a population. Each step is one report."""

    def setup(self, config: dict[str, Any], desk: Any = None) -> None:
        if desk is not None:
            self._desk = desk
        self._rung = self._begun_at = 0
        self._history: list[Mapping[str, Any]] = []
        self._asked = 0
        member = config.get("member")
        if member is not None:
            self._history = list(member["history"])
            self._rung = self._begun_at = len(self._history)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        self._asked += 1
        member = self.config.get("member")
        values = {name: value for name, value in self.config.items() if name not in ("trial", "member")}
        request = {
            "id": f"{self.trial_id}/{self._rung}/{self._asked}",
            "rung": self._rung + 1,
            "trial": self.config.get("trial", ""),
            # a member that takes over another's past takes over its configuration, but stays who it is
            "member": int(self.trial_id.rpartition("_")[2]) if member is not None else 0,
            "values": values,
            "history": list(self._history),
        }
        reply = ray.get(self._desk.ask.remote(request))
        if reply.get("over"):
            return {"rung": self._rung, "objective": float("nan"), "done": True}
        if reply["failed"]:
            raise RuntimeError(reply["failed"])
        self._rung += 1
        self._history.append(values)
        # a synchronous population must be seen to begin at the beginning, wherever it goes on from
        turn = self._rung - self._begun_at
        return {"rung": self._rung, "turn": turn, "objective": reply["objective"], "done": reply["last"]}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"rung": self._rung, "history": self._history}

    def load_checkpoint(self, checkpoint: Any) -> None:
        self._rung, self._history = int(checkpoint["rung"]), list(checkpoint["history"])
