"""Errors as records: where, what, and what next. They survive pickling, so a worker's error reads the same at the user's desk.

The class decides the exit code: 1 a stage failed, 2 bad input, 3 the environment, 75 interrupted (run me again).
"""

from __future__ import annotations

from typing import Any, ClassVar

EXIT_OK, EXIT_STAGE, EXIT_INPUT, EXIT_ENVIRONMENT, EXIT_AGAIN = 0, 1, 2, 3, 75


class Problem(Exception):
    """Something a user can act on.

    `where` names the file, field, stage or row; `what` says what was found; `remedy` says what to do next (may be empty).
    """

    exit_code: ClassVar[int] = EXIT_STAGE

    def __init__(self, where: str, what: str, remedy: str = "") -> None:
        super().__init__(where, what, remedy)
        self.where, self.what, self.remedy = where, what, remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.what, self.remedy)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}; {self.remedy}" if self.remedy else head

    def record(self) -> dict[str, str]:
        """The error as plain JSON, for `--json` output and event streams."""
        return {"error": type(self).__name__, "where": self.where, "what": self.what, "remedy": self.remedy}


class BadInput(Problem):
    """The user's recipe, data or flags cannot be used as they are."""

    exit_code = EXIT_INPUT


class BadEnvironment(Problem):
    """The machine, the network, the disk or the cluster does not offer what is needed."""

    exit_code = EXIT_ENVIRONMENT


class StageFailed(Problem):
    """A stage ran and failed for a reason of its own."""

    exit_code = EXIT_STAGE


class TakenOver(StageFailed):
    """Another driver does this stage now: its result will serve as well."""


class Interrupted(Problem):
    """Work was stopped on request at a safe point; the same command continues it."""

    exit_code = EXIT_AGAIN


def from_record(record: dict[str, str]) -> Problem:
    """The inverse of `Problem.record`; unknown kinds come back as `StageFailed`."""
    kinds = {cls.__name__: cls for cls in (BadInput, BadEnvironment, StageFailed, TakenOver, Interrupted)}
    cls = kinds.get(record.get("error", ""), StageFailed)
    return cls(record.get("where", ""), record.get("what", ""), record.get("remedy", ""))
