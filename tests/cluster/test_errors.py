"""Errors say where, what and what next, and survive the trip from a worker."""

from __future__ import annotations

import pickle

import pytest

from cluster.errors import BadEnvironment, BadInput, Interrupted, Problem, StageFailed, from_record


@pytest.mark.parametrize(("kind", "code"), [(BadInput, 2), (BadEnvironment, 3), (StageFailed, 1), (Interrupted, 75)])
def test_round_trip_through_pickle_and_json(kind: type[Problem], code: int) -> None:
    error = kind("recipe.yaml: seeds", "is empty", "write seeds: [0]")
    for copy in (pickle.loads(pickle.dumps(error)), from_record(error.record())):
        assert type(copy) is kind
        assert str(copy) == "recipe.yaml: seeds: is empty; write seeds: [0]"
        assert copy.exit_code == code


def test_an_unknown_record_is_still_an_error() -> None:
    assert isinstance(from_record({"error": "FromTheFuture", "what": "x"}), StageFailed)
